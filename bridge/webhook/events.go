package webhook

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/tail"
)

// logEvent writes one line about a verified delivery. Nothing of the payload but its signal_id is in it.
func (h *Handler) logEvent(ctx context.Context, level slog.Level, message string, e *queue.Event, receipt queue.Receipt, more ...slog.Attr) {
	if !h.log.Enabled(ctx, level) {
		return
	}
	attrs := eventAttrs(e)
	if receipt.Seq != 0 {
		attrs = append(attrs, slog.Uint64("bridge_seq", receipt.Seq))
	}
	if receipt.Reason != "" {
		attrs = append(attrs, slog.String("reason", receipt.Reason))
	}
	attrs = append(attrs, more...)
	h.log.LogAttrs(ctx, level, message, attrs...) //nolint:sloglint // one of logReceipt's constants
}

// tell shows those who watch what became of a request; e is nil when nothing of it was verified.
func (x *requestState) tell(v verdict, endpoint, id string, e *queue.Event, receipt queue.Receipt) {
	if !x.h.tail.Watched() {
		return
	}
	l := tail.Line{
		At: x.now, Way: tail.In, Outcome: v.String(), Status: v.status(), Error: receipt.Reason, Endpoint: endpoint, Client: x.from.text,
		DeliveryID: id, Seq: receipt.Seq,
	}
	if e != nil && e.Signal != nil {
		l.SignalID, l.SignalType, l.ServerName, l.Severity = e.Signal.SignalID, e.Signal.SignalType, e.Signal.ServerName, int(e.Signal.Severity)
	}
	x.h.tail.Tell(&l)
}

func eventAttrs(e *queue.Event) []slog.Attr {
	attrs := []slog.Attr{
		slog.String("endpoint", e.Endpoint),
		slog.String("delivery_id", e.DeliveryID),
		slog.String("secret", e.SecretName),
		slog.String("client", e.ClientAddr),
	}
	if e.Signal != nil {
		attrs = append(attrs, slog.String("signal_id", e.Signal.SignalID))
	}
	return attrs
}

// queueErrors folds the errors of the queue: one line when the text changes, one when it is over.
type queueErrors struct {
	active atomic.Bool
	mu     sync.Mutex
	last   string
}

func (t *queueErrors) report(log *slog.Logger, e *queue.Event, err error) {
	t.mu.Lock()
	changed := t.last != err.Error()
	t.last = err.Error()
	t.active.Store(true)
	t.mu.Unlock()
	if changed {
		log.Error("deliveries are answered 503: they can't be made durable", "error", err, "endpoint", e.Endpoint, "delivery_id", e.DeliveryID)
	}
}

func (t *queueErrors) recovered(log *slog.Logger) {
	if !t.active.Load() {
		return
	}
	t.mu.Lock()
	was := t.last
	t.last = ""
	t.active.Store(false)
	t.mu.Unlock()
	if was != "" {
		log.Info("deliveries are made durable again")
	}
}
