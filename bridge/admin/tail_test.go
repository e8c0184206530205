package admin_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/tail"
)

func TestTail(t *testing.T) {
	t.Parallel()
	b, c, _ := control(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got, ended := make(chan tail.Line, 10), make(chan error, 1)
	go func() {
		ended <- c.Tail(ctx, tail.Filter{Way: tail.Out, Outputs: []string{"siem", "splunk"}, Endpoints: []string{"linuxguard"}, MinSeverity: 3},
			func(l tail.Line) error { got <- l; return nil })
	}()
	bridgetest.Eventually(t, 30*time.Second, "a watcher", b.Tail.Watched)
	for _, l := range []tail.Line{
		{Way: tail.In, Endpoint: "linuxguard", Severity: 5, Seq: 1},
		{Way: tail.Out, Endpoint: "linuxguard", Output: "archive", Severity: 5, Seq: 2},
		{Way: tail.Out, Endpoint: "other", Output: "siem", Severity: 5, Seq: 3},
		{Way: tail.Out, Endpoint: "linuxguard", Output: "siem", Severity: 2, Seq: 4},
		{Way: tail.Out, Endpoint: "linuxguard", Output: "splunk", Severity: 3, Seq: 5, Error: "\x1b[31m"},
	} {
		b.Tail.Tell(&l)
	}
	if l := <-got; l.Seq != 5 || l.Error != "\x1b[31m" {
		t.Errorf("%+v", l)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) || len(got) > 0 {
		t.Errorf("%v, with %d more lines", err, len(got))
	}
	bridgetest.Eventually(t, 30*time.Second, "the watcher's end", func() bool { return !b.Tail.Watched() })
}

func TestTailsThatAreRefused(t *testing.T) {
	t.Parallel()
	b, c, _ := control(t)
	nowhere := tail.Filter{Endpoints: []string{"linuxguard", "a"}, Outputs: []string{"b"}}
	for want, f := range map[string]tail.Filter{
		`there is no endpoint "a": there are linuxguard, staging; there is no output "b": there are archive, siem, splunk`: nowhere,
		"the severity is a number from 1 (info) to 5 (critical)":                                                           {MinSeverity: 6},
		"the way is in or out": {Way: "up"},
	} {
		var refused *admin.RefusedError
		if err := c.Tail(t.Context(), f, nil); !errors.As(err, &refused) || refused.Status != http.StatusBadRequest || refused.Text != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for range 4 {
		w, err := b.Tail.Watch(tail.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
	}
	var refused *admin.RefusedError
	if err := c.Tail(t.Context(), tail.Filter{}, nil); !errors.As(err, &refused) || refused.Status != http.StatusServiceUnavailable || refused.Text != tail.ErrTooMany.Error() {
		t.Errorf("a fifth: %v", err)
	}
}
