package forward

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/tail"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// TestTellFate: a line for each event that was delivered or refused, and one for all that failed.
func TestTellFate(t *testing.T) {
	t.Parallel()
	down := errors.New("connection refused\nagain")
	refused := []outputs.Rejection{{Index: 1, Err: errors.New("bad")}, {Index: 9, Err: errors.New("none of ours")}}
	for name, c := range map[string]struct {
		err  error
		want []tail.Line
	}{
		"delivered": {nil, []tail.Line{{Seq: 1, Outcome: "delivered"}, {Seq: 2, Outcome: "delivered"}, {Seq: 3, Outcome: "delivered"}}},
		"failed":    {down, []tail.Line{{Seq: 1, Outcome: "failed", Error: "connection refused; again", Events: 3}}},
		"refused": {&outputs.PartialError{Rejected: refused}, []tail.Line{
			{Seq: 2, Outcome: "refused", Error: "bad"}, {Seq: 1, Outcome: "delivered"}, {Seq: 3, Outcome: "delivered"},
		}},
		"both": {&outputs.PartialError{Rejected: refused, Rest: down}, []tail.Line{
			{Seq: 2, Outcome: "refused", Error: "bad"}, {Seq: 1, Outcome: "failed", Error: "connection refused; again", Events: 2},
		}},
	} {
		h := &tail.Hub{}
		w, err := h.Watch(tail.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		tellResult(h, []tail.Line{{Seq: 1}, {Seq: 2}, {Seq: 3}}, c.err)
		w.Close()
		ended, end := context.WithCancel(t.Context())
		end()
		var got []tail.Line
		for l, err := w.Next(ended); err == nil; l, err = w.Next(ended) {
			got = append(got, l)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}
