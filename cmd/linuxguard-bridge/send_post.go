package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

// expectation is the answer that a delivery should get.
type expectation int

const (
	wantAccepted expectation = iota
	wantDuplicate
	wantRefused // 401
)

func (e expectation) String() string { return [...]string{"accepted", "duplicate", "401"}[e] }

// plannedDelivery is one delivery with the answer that it should get.
type plannedDelivery struct {
	delivery sender.Delivery
	want     expectation
}

// sent is what became of one delivery.
type sent struct {
	plannedDelivery
	at     time.Time
	answer sender.Answer
	err    error // no answer came
}

// plan signs bodies as the flags say, in the order in which they go out: a duplicate comes right after its first.
func plan(signer *sender.Signer, bodies [][]byte, o sendOptions) (all []plannedDelivery) {
	for _, body := range bodies {
		d := signer.Deliver(body)
		if o.DeliveryID != "" {
			d.ID = o.DeliveryID
		}
		first, second := wantAccepted, wantDuplicate
		if o.Forge {
			d, first, second = d.Forge(), wantRefused, wantRefused
		}
		all = append(all, plannedDelivery{d, first})
		if o.Duplicate {
			all = append(all, plannedDelivery{d, second})
		}
	}
	return all
}

// postAll posts one delivery after the other, each when the one before has its answer.
func (g *globals) postAll(ctx context.Context, client *sender.Client, deliveries []plannedDelivery) []sent {
	results := make([]sent, 0, len(deliveries))
	for _, one := range deliveries {
		s := sent{plannedDelivery: one, at: g.Now()}
		s.answer, s.err = client.Post(ctx, one.delivery)
		results = append(results, s)
	}
	return results
}

// asExpected judges the answer. A receiver that isn't ours names no outcome; then the status alone counts.
func (s sent) asExpected() bool {
	switch {
	case s.err != nil:
		return false
	case s.want == wantRefused:
		return s.answer.Status == http.StatusUnauthorized
	case s.want == wantDuplicate && s.answer.Outcome != "":
		return s.answer.OK() && s.answer.Outcome == "duplicate"
	case s.answer.Outcome != "":
		return s.answer.OK() && s.answer.Outcome == "accepted"
	default:
		return s.answer.OK()
	}
}

// accepted reports whether the bridge forwards the delivery.
func (s sent) accepted() bool { return s.err == nil && s.answer.OK() && s.answer.Outcome == "accepted" }

// outcome names the answer in one or two words.
func (s sent) outcome() string {
	switch {
	case s.err != nil:
		return "no answer"
	case s.answer.Outcome != "" && s.answer.OK():
		return s.answer.Outcome
	default:
		return fmt.Sprintf("%d %s", s.answer.Status, strings.ToLower(http.StatusText(s.answer.Status)))
	}
}

// signal is what is printed of the signal itself.
func (s sent) signal() (id string, severity int) {
	var body struct {
		Data struct {
			SignalID string `json:"signal_id"`
			Severity int    `json:"severity"`
		} `json:"data"`
	}
	_ = json.Unmarshal(s.delivery.Body, &body) // --file may hold anything
	return body.Data.SignalID, body.Data.Severity
}

// maxListed is how many answers are printed one by one.
const maxListed = 20

// writeResults prints the answers: each when they are few, else how many of which kind and how long they took.
func writeResults(w io.Writer, results []sent) error {
	if len(results) > maxListed {
		return writeSummary(w, results)
	}
	for _, s := range results {
		id, severity := s.signal()
		text := s.answer.String()
		if s.err != nil {
			text = s.err.Error()
		}
		what := fmt.Sprintf("%s  severity %d", display.Line(id), severity)
		if id == "" && severity == 0 {
			what = "no signal"
		}
		_, err := fmt.Fprintf(w, "%s  delivery %s  %s  %v\n", what, s.delivery.ID, display.Line(text), s.answer.Took.Round(100*time.Microsecond))
		if err != nil {
			return err
		}
	}
	return nil
}

func writeSummary(w io.Writer, results []sent) error {
	counts := map[string]int{}
	var took []time.Duration
	var first, last time.Time
	for _, s := range results {
		counts[s.outcome()]++
		if s.err == nil {
			took = append(took, s.answer.Took)
		}
		if first.IsZero() || s.at.Before(first) {
			first = s.at
		}
		if end := s.at.Add(s.answer.Took); end.After(last) {
			last = end
		}
	}
	var parts []string
	for outcome, n := range counts {
		parts = append(parts, fmt.Sprintf("%d %s", n, outcome))
	}
	slices.Sort(parts)
	total := last.Sub(first)
	_, err := fmt.Fprintf(w, "%d sent in %v (%.0f/s): %s\n", len(results), total.Round(time.Millisecond),
		float64(len(results))/max(total.Seconds(), 1e-9), strings.Join(parts, ", "))
	if err != nil || len(took) == 0 {
		return err
	}
	slices.Sort(took)
	_, err = fmt.Fprintf(w, "answers after %v (median), %v (slowest)\n", quantile(took, 0.5), quantile(took, 1))
	return err
}

// quantile of sorted durations, rounded for people.
func quantile(sorted []time.Duration, q float64) time.Duration {
	i := int(q*float64(len(sorted))+0.5) - 1
	return sorted[min(max(i, 0), len(sorted)-1)].Round(100 * time.Microsecond)
}

// unexpected is an error when some answer was not the expected one; the answers themselves are printed already.
func unexpected(results []sent) error {
	wrong, wanted, got := 0, "", ""
	var example error
	for _, s := range results {
		if s.asExpected() {
			continue
		}
		if wrong++; example == nil {
			example = s.err
		}
		wanted, got = s.want.String(), s.outcome()
	}
	switch {
	case wrong == 0:
		return nil
	case example != nil:
		return fmt.Errorf("%d of %d got no answer or an unexpected one: %w", wrong, len(results), example)
	default:
		return fmt.Errorf("%d of %d answers were not the expected ones: %s was expected, and the last such answer is %s", wrong, len(results), wanted, got)
	}
}
