package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/display"
)

const (
	tracePause = 50 * time.Millisecond // how often the bridge is asked again
	// lastLook is how long the bridge may take to answer the last question, beyond the time that deliveries have.
	lastLook = 5 * time.Second
)

// What an output can have done with an event, as the control socket's trace calls it; all others are failures.
const (
	outcomeQueued    = "queued"
	outcomeDelivered = "delivered"
	outcomeFiltered  = "filtered" // the output's match does not want it, which is as good as done
)

// outputResults is what one output did with all that was waited for.
type outputResults struct {
	outcomes map[string]int
	level    string
	took     []time.Duration // of the delivered ones, from receipt
}

// awaitOutputs waits until no output has any accepted delivery queued any more, and prints how long each took.
func (g *globals) awaitOutputs(ctx context.Context, control *admin.Client, results []sent, timeout time.Duration) error {
	waiting, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not delivered everywhere within %v", timeout))
	defer cancel()
	outputs := map[string]*outputResults{}
	waited := 0
	var errs []error
	for _, s := range results {
		if !s.accepted() {
			continue
		}
		waited++
		events, err := awaitOne(ctx, waiting, control, s.delivery.ID)
		collectResults(outputs, events)
		if err != nil {
			errs = append(errs, err)
			break // the time is up for the others, too
		}
	}
	if waited == 0 {
		return errors.New("nothing was accepted, so there is nothing to wait for")
	}
	if err := writeOutputResults(g.Stdout, outputs); err != nil {
		return err
	}
	left := undelivered(outputs)
	if len(left) > 0 {
		left = append(left, whatFails(ctx, control, outputs)...)
	}
	return errors.Join(append(errs, left...)...)
}

// whatFails says of every output that is not done why, as far as the bridge knows.
func whatFails(ctx context.Context, control *admin.Client, outputs map[string]*outputResults) []error {
	ctx, cancel := context.WithTimeout(ctx, lastLook)
	defer cancel()
	st, err := control.Status(ctx)
	if err != nil {
		return nil // the outputs' own lines have been said
	}
	var all []error
	for _, o := range st.Outputs {
		if a := outputs[o.Name]; a == nil || a.outcomes[outcomeQueued] == 0 {
			continue
		}
		switch {
		case o.Failing:
			all = append(all, fmt.Errorf("output %s fails, %s: %s", o.Name, display.Ago(st.At, o.LastErrorAt), display.Line(o.LastError)))
		case o.State == stateStandby:
			all = append(all, fmt.Errorf("output %s is another bridge's", o.Name))
		case o.Queued.Events > 1:
			all = append(all, fmt.Errorf("output %s has %s before it", o.Name, display.Count(o.Queued.Events-1, "event")))
		}
	}
	return all
}

// awaitOne asks for one delivery until every output is done with it or waiting ends, and returns the last answer. When
// waiting ends it asks once more within ctx: waiting bounds what the outputs may take, and a bridge that was slow to
// answer must not look as if it had no outputs.
func awaitOne(ctx, waiting context.Context, control *admin.Client, id string) ([]admin.TraceEvent, error) {
	var last admin.Trace
	for {
		trace, err := control.Trace(waiting, id)
		if err == nil {
			last = trace
		}
		if err == nil && settled(trace) {
			return trace.Events, nil
		}
		if err != nil && waiting.Err() == nil {
			return nil, err
		}
		select {
		case <-waiting.Done():
		case <-time.After(tracePause):
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, lastLook)
		defer cancel()
		if trace, err := control.Trace(ctx, id); err == nil {
			last = trace
		}
		if settled(last) {
			return last.Events, nil
		}
		return last.Events, context.Cause(waiting)
	}
}

func settled(t admin.Trace) bool {
	for _, e := range t.Events {
		for _, o := range e.Outputs {
			if o.Outcome == outcomeQueued {
				return false
			}
		}
	}
	return len(t.Events) > 0
}

func collectResults(outputs map[string]*outputResults, events []admin.TraceEvent) {
	for _, e := range events {
		for _, o := range e.Outputs {
			a := outputs[o.Output]
			if a == nil {
				a = &outputResults{outcomes: map[string]int{}}
				outputs[o.Output] = a
			}
			a.outcomes[o.Outcome]++
			if o.Outcome == outcomeDelivered {
				a.level = o.Level
				a.took = append(a.took, o.At.Sub(e.ReceivedAt))
			}
		}
	}
}

func writeOutputResults(w io.Writer, outputs map[string]*outputResults) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "OUTPUT\tOUTCOME\tCOUNT\tLEVEL\tMEDIAN\tSLOWEST")
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		a := outputs[name]
		slices.Sort(a.took)
		for _, outcome := range slices.Sorted(maps.Keys(a.outcomes)) {
			level, median, slowest := "-", "-", "-"
			if outcome == outcomeDelivered {
				level, median, slowest = a.level, quantile(a.took, 0.5).String(), quantile(a.took, 1).String()
			}
			_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\n", name, outcome, a.outcomes[outcome], level, median, slowest)
		}
	}
	return table.Flush()
}

// undelivered names every output that did something else than deliver or filter.
func undelivered(outputs map[string]*outputResults) []error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		for _, outcome := range slices.Sorted(maps.Keys(outputs[name].outcomes)) {
			if outcome != outcomeDelivered && outcome != outcomeFiltered {
				errs = append(errs, fmt.Errorf("output %s: %d %s", name, outputs[name].outcomes[outcome], outcome))
			}
		}
	}
	return errs
}
