package webhook

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/linuxguard/linuxguard-bridge/bridge/logging"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

const (
	maxRefusedIDs  = 4096 // delivery IDs remembered
	maxRefusedEach = 8    // refusals remembered of each
	maxDeliveryID  = 128  // bytes
)

// Refusal is one delivery that was not taken. Its delivery ID is a claim: what was refused was never verified.
type Refusal struct {
	At       time.Time
	Reason   string // as in the metric's outcome label: "signature", "too_large", "full", ...
	Status   int    // the HTTP status that was answered
	Endpoint string // empty for a path that is no endpoint's
	Address  string
}

// refusals remembers recent refusals by the delivery ID that they claimed. Anybody can fill it with made-up IDs: it
// helps to find out about a delivery, and proves nothing.
type refusals struct {
	mu   sync.Mutex
	byID *simplelru.LRU[string, []Refusal]
}

func newRefusals() *refusals {
	byID, err := simplelru.NewLRU[string, []Refusal](maxRefusedIDs, nil)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &refusals{byID: byID}
}

func (m *refusals) add(id string, r Refusal) {
	if id == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	known, _ := m.byID.Get(id)
	if len(known) >= maxRefusedEach {
		known = slices.Delete(known, 0, 1)
	}
	m.byID.Add(id, append(known, r))
}

// Refused returns the recent refusals of deliveries that claimed this ID, oldest first, as far as they are remembered.
func (h *Handler) Refused(id string) []Refusal {
	h.refusals.mu.Lock()
	defer h.refusals.mu.Unlock()
	known, _ := h.refusals.byID.Peek(id)
	return slices.Clone(known)
}

// deliveryID returns the one LinuxGuard-Delivery header when it can serve as an identifier: up to 128 letters, digits
// and "-_.:". Anything else is treated as missing, and note says so; the body's digest identifies such a delivery.
func deliveryID(header http.Header) (id, note string) {
	values := header[deliveryHeader]
	switch {
	case len(values) == 0:
		return "", ""
	case len(values) > 1:
		return "", fmt.Sprintf("the LinuxGuard-Delivery header came %d times and was treated as missing", len(values))
	case len(values[0]) > maxDeliveryID:
		return "", fmt.Sprintf("the LinuxGuard-Delivery header has %d bytes, more than %d, and was treated as missing", len(values[0]), maxDeliveryID)
	}
	for i := range len(values[0]) {
		if !isIDByte(values[0][i]) {
			return "", "the LinuxGuard-Delivery header holds a character that no delivery ID has and was treated as missing"
		}
	}
	return values[0], ""
}

func isIDByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' ||
		c == '-' || c == '_' || c == '.' || c == ':'
}

// refuse answers, counts, remembers and logs a request that was not taken.
func (x *requestState) refuse(w http.ResponseWriter, r *http.Request, v verdict) {
	x.h.answers.plain[v].write(w, r)
	t, endpoint := &x.h.unmatched, ""
	if x.ep != nil {
		t, endpoint = x.ep.counters, x.ep.name
	}
	t.count(v)
	id, _ := deliveryID(r.Header)
	x.h.refusals.add(id, Refusal{At: x.now, Reason: v.String(), Status: v.status(), Endpoint: endpoint, Address: x.from.text})
	x.tell(v, endpoint, id, nil, queue.Receipt{})
	if notLogged, ok := x.h.visitors.mayLog(x.from.group(), x.now); ok {
		x.h.logRefusal(v, x.from.text, endpoint, id, notLogged, x.signatureAttrs(r, v)...)
	}
}

// signatureAttrs say what is wrong with a signature and which secrets it was compared with.
func (x *requestState) signatureAttrs(r *http.Request, v verdict) []any {
	if v != badSignature && v != rateLimited || x.ep == nil {
		return nil
	}
	what := "matches none of the secrets: is one of them LinuxGuard's present one, and is the body passed on unchanged?"
	var mac digest
	switch {
	case len(r.Header[signatureHeader]) == 0:
		what = "there is none"
	case !parseSignature(r.Header, &mac):
		what = "malformed: it must be sha256= and 64 hexadecimal digits, once"
	}
	names := make([]string, len(x.ep.keys))
	for i, k := range x.ep.keys {
		names[i] = k.name
	}
	return []any{slog.String("signature", what), slog.String("secrets", strings.Join(names, ", "))}
}

// logRefusal writes the line that contrib's fail2ban filter matches. Its message has this form for good:
//
//	refused ADDRESS: REASON (STATUS)
//
// fail2ban sees no more than the message under the journal, hence no constant text here. Neither the message nor an
// attribute holds anything that a client could use to forge such a line: the address is parsed, the reason and the
// endpoint are ours, a delivery ID has no spaces.
func (h *Handler) logRefusal(v verdict, address, endpoint, id string, notLogged int, more ...any) {
	attrs := []any{slog.String("event", "request_refused"), slog.String("client", address), slog.String("reason", v.String()), slog.Int("status", v.status())}
	if endpoint != "" {
		attrs = append(attrs, slog.String("endpoint", endpoint))
	}
	if id != "" {
		attrs = append(attrs, slog.String("delivery_id", id))
	}
	for _, a := range logging.NotLogged(notLogged) {
		attrs = append(attrs, a)
	}
	attrs = append(attrs, more...)
	h.log.Warn(fmt.Sprintf("refused %s: %s (%d)", address, v, v.status()), attrs...) //nolint:sloglint // see above
}

// logReceipt writes the line of a verified delivery: debug for what goes its way, warn for what is quarantined.
func (x *requestState) logReceipt(ctx context.Context, e *queue.Event, receipt queue.Receipt) {
	var more []slog.Attr
	level, message := slog.LevelDebug, "delivery accepted"
	switch {
	case receipt.Verdict == queue.Quarantined:
		level, message = slog.LevelWarn, "delivery quarantined"
		more = append(x.clockAttrs(e, receipt), slog.String("event", "quarantined"))
	case receipt.Reused:
		level, message = slog.LevelWarn, "delivery accepted under a delivery ID that was used for another signal"
	case receipt.Verdict == queue.Duplicate:
		message = "delivery is a duplicate"
	}
	if level == slog.LevelWarn {
		notLogged, ok := x.ep.counters.lines.Line(x.now)
		if !ok {
			return
		}
		more = append(more, logging.NotLogged(notLogged)...)
	}
	x.h.logEvent(ctx, level, message, e, receipt, more...)
}

// clockAttrs say how old a stale delivery is, or how far in the future, and by which clock and limit.
func (x *requestState) clockAttrs(e *queue.Event, receipt queue.Receipt) []slog.Attr {
	if receipt.Reason != ReasonStale && receipt.Reason != ReasonFuture {
		return nil
	}
	sent, _ := e.SentAt()
	attrs := []slog.Attr{slog.Time("signed_at", sent), slog.Time("host_time", x.now), slog.Duration("age", x.now.Sub(sent).Round(time.Second))}
	if receipt.Reason == ReasonStale {
		attrs = append(attrs, slog.Duration("max_age", x.ep.maxAge))
	} else {
		attrs = append(attrs, slog.Duration("clock_skew", x.ep.clockSkew))
	}
	if x.ep.counters.clock.suspect() {
		attrs = append(attrs, slog.String("hint", "so many in a row are stale or from the future that a clock must be wrong: look at this host's"))
	}
	return attrs
}
