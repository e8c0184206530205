package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

const (
	maxRanges  = 100
	auditChunk = 100_000 // sequences asked of the queue at once: bounds the memory of one answer
)

// Audit accounts for every sequence of a range at every output that was asked for.
type Audit struct {
	At       time.Time     `json:"at"` // by the daemon's clock
	Version  string        `json:"version"`
	BridgeID string        `json:"bridge_id"`
	Newest   uint64        `json:"newest"`         // the newest sequence ever given
	Since    time.Time     `json:"since,omitzero"` // as asked; each range begins no later than the first event received since then
	Outputs  []OutputAudit `json:"outputs"`
	// DeadLetters is how many items the quarantine holds. Those that were quarantined on receipt have no sequence, and are in no output's
	// account.
	DeadLetters int `json:"dead_letters"`
}

// OutputAudit is one output's account. Received is the sum of what became of the events: delivered, filtered, quarantined,
// dropped, lost, queued and unknown.
type OutputAudit struct {
	Output string `json:"output"`
	SeqRange
	Received         uint64            `json:"received"`
	Delivered        uint64            `json:"delivered"`
	DeliveredByLevel map[string]uint64 `json:"delivered_by_level,omitempty"`
	Filtered         uint64            `json:"filtered"`
	Quarantined      uint64            `json:"quarantined"`
	Dropped          uint64            `json:"dropped"` // by when_full = "drop_oldest"
	Lost             uint64            `json:"lost"`    // acknowledged to a sender and gone
	Queued           uint64            `json:"queued"`
	Unknown          uint64            `json:"unknown"` // older than what is remembered (the dedupe window), or than the output

	LostRanges    []SeqRange `json:"lost_ranges,omitempty"` // the first maxRanges of each
	UnknownRanges []SeqRange `json:"unknown_ranges,omitempty"`
	NotGiven      uint64     `json:"not_given,omitempty"` // asked for, but above the newest sequence
	AccountedFor  bool       `json:"accounted_for"`       // nothing is lost, unknown or not given
}

// SeqRange is an inclusive range of bridge_seq.
type SeqRange struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// count is how many sequences r has.
func (r SeqRange) count() uint64 {
	if r.First > r.Last {
		return 0
	}
	return r.Last - r.First + 1
}

// AuditRequest says what to account for.
type AuditRequest struct {
	Outputs     []string      // none: all
	First, Last uint64        // 0 leaves an end open
	Since       time.Duration // instead of First: from what was received so long ago; 0: not asked for
}

// auditRange answers GET /v1/audit.
func (s *Server) auditRange(ctx context.Context, r *http.Request) (any, error) {
	req, err := auditRequest(r)
	if err != nil {
		return nil, err
	}
	st := s.opts.Queue.Status()
	a := Audit{At: s.opts.Now(), Version: s.opts.Source.Report().Version, BridgeID: st.BridgeID, Newest: st.LastSeq, Outputs: []OutputAudit{}, DeadLetters: st.DeadLetters}
	if req.Since > 0 {
		a.Since = a.At.Add(-req.Since)
		if req.First, err = firstSince(ctx, s.opts.Queue, st, a.Since); err != nil {
			return nil, err
		}
	}
	names := req.Outputs
	if len(names) == 0 {
		names = outputNames(st)
	}
	for _, name := range names {
		one, err := auditOutput(ctx, s.opts.Queue, name, req.First, req.Last, st.LastSeq)
		if err != nil {
			return nil, err
		}
		a.Outputs = append(a.Outputs, one)
	}
	return a, nil
}

func auditRequest(r *http.Request) (req AuditRequest, err error) {
	if req.First, err = number(r, "first"); err != nil {
		return req, err
	}
	if req.Last, err = number(r, "last"); err != nil {
		return req, err
	}
	if req.Last != 0 && req.Last < req.First {
		return req, &requestError{"the range ends before it begins"}
	}
	req.Outputs = r.URL.Query()["output"]
	text := r.URL.Query().Get("since")
	if text == "" {
		return req, nil
	}
	if req.Since, err = ParseAgo(text); err != nil {
		return req, &requestError{"since: " + err.Error()}
	}
	if req.First != 0 {
		return req, &requestError{"since and first exclude each other"}
	}
	return req, nil
}

// ParseAgo reads how long ago something was.
func ParseAgo(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is not a duration like 24h", display.Line(text))
	}
	return d, nil
}

func outputNames(st queue.Status) []string {
	names := make([]string, len(st.Outputs))
	for i, o := range st.Outputs {
		names[i] = o.Name
	}
	return names
}

// auditOutput accounts for first..last at one output. Without a first the range begins with the oldest sequence of which
// something is known, without a last it ends with the newest.
func auditOutput(ctx context.Context, q queue.History, output string, first, last, newest uint64) (OutputAudit, error) {
	a := OutputAudit{Output: output, SeqRange: SeqRange{First: first, Last: last}}
	if last == 0 {
		a.Last = newest
	}
	if a.Last > newest {
		a.NotGiven = SeqRange{First: max(first, newest+1), Last: a.Last}.count()
	}
	a.First = max(first, 1)
	err := walkOutcomes(ctx, q, output, a.First, min(a.Last, newest), func(r queue.OutcomeRange) {
		if first == 0 && r.Outcome == queue.Unknown && r.First == a.First {
			a.First = r.Last + 1 // nobody asked for what is older than the memory
			return
		}
		a.add(r)
	})
	a.AccountedFor = a.Lost == 0 && a.Unknown == 0 && a.NotGiven == 0
	return a, err
}

// add puts one range into its column.
func (a *OutputAudit) add(r queue.OutcomeRange) {
	span := SeqRange{First: r.First, Last: r.Last}
	n := span.count()
	a.Received += n
	switch r.Outcome {
	case queue.Delivered:
		a.Delivered += n
		if a.DeliveredByLevel == nil {
			a.DeliveredByLevel = map[string]uint64{}
		}
		a.DeliveredByLevel[r.Level] += n
	case queue.Filtered:
		a.Filtered += n
	case queue.Refused:
		a.Quarantined += n
	case queue.Dropped:
		a.Dropped += n
	case queue.Lost:
		a.Lost += n
		a.LostRanges = addRange(a.LostRanges, span)
	case queue.Queued:
		a.Queued += n
	default:
		a.Unknown += n
		a.UnknownRanges = addRange(a.UnknownRanges, span)
	}
}

// addRange adds r to ranges, joined with the last one where they touch, and to no more than maxRanges.
func addRange(ranges []SeqRange, r SeqRange) []SeqRange {
	if n := len(ranges); n > 0 && ranges[n-1].Last+1 == r.First {
		ranges[n-1].Last = r.Last
		return ranges
	}
	if len(ranges) == maxRanges {
		return ranges
	}
	return append(ranges, r)
}

// walkOutcomes visits what became of first..last at an output, in order and without a gap. It asks for more at once where the
// queue has forgotten everything, so that a long history costs little.
func walkOutcomes(ctx context.Context, q queue.History, output string, first, last uint64, visit func(queue.OutcomeRange)) error {
	for from, chunk := first, uint64(auditChunk); from <= last; {
		to := min(last, from+chunk-1)
		ranges, err := outcomes(ctx, q, output, from, to)
		if err != nil {
			return err
		}
		for _, r := range ranges {
			visit(r)
		}
		if chunk = auditChunk; onlyOutcome(ranges, queue.Unknown) {
			chunk = 2 * (to - from + 1)
		}
		from = to + 1
	}
	return nil
}

func onlyOutcome(ranges []queue.OutcomeRange, o queue.Outcome) bool {
	return len(ranges) == 1 && ranges[0].Outcome == o
}

// outcomes is History.Outcomes with its promise held: the ranges cover what was asked for.
func outcomes(ctx context.Context, q queue.History, output string, first, last uint64) ([]queue.OutcomeRange, error) {
	ranges, err := q.Outcomes(ctx, output, first, last)
	if errors.Is(err, queue.ErrNotFound) {
		return nil, &requestError{fmt.Sprintf("there is no output %q", display.Line(output))}
	}
	if err != nil {
		return nil, err
	}
	next := first
	for _, r := range ranges {
		if r.First != next || r.Last < r.First {
			break
		}
		next = r.Last + 1
	}
	if next != last+1 {
		return nil, fmt.Errorf("the queue's outcomes of %s end before %d instead of %d; ask again, and report it if it stays", output, next, last+1)
	}
	return ranges, nil
}

// firstSince returns a sequence such that everything received at or after t has it or a higher one: the one behind the newest
// that some output was done with before t. What waited for every output at t may be counted although it is older.
func firstSince(ctx context.Context, q queue.History, st queue.Status, t time.Time) (uint64, error) {
	newest := uint64(0)
	for _, o := range st.Outputs {
		done, err := doneBefore(ctx, q, o.Name, newest+1, st.LastSeq, t)
		if err != nil {
			return 0, err
		}
		newest = max(newest, done)
	}
	return newest + 1, nil
}

// doneBefore returns the newest sequence of first..last that an output was done with before t; 0: there is none. It looks from
// the newest to the oldest.
func doneBefore(ctx context.Context, q queue.History, output string, first, last uint64, t time.Time) (uint64, error) {
	for to, chunk := last, uint64(auditChunk); to >= first; {
		from := max(first, to-min(to, chunk)+1)
		ranges, err := outcomes(ctx, q, output, from, to)
		if err != nil {
			return 0, err
		}
		for i := len(ranges) - 1; i >= 0; i-- {
			if r := ranges[i]; !r.At.IsZero() && r.At.Before(t) {
				return r.Last, nil
			}
		}
		if chunk = auditChunk; onlyOutcome(ranges, queue.Unknown) {
			chunk = 2 * (to - from + 1)
		}
		to = from - 1
	}
	return 0, nil
}
