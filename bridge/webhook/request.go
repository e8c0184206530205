package webhook

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
)

// requestState is the working memory of one request, pooled.
type requestState struct {
	h     *Handler
	state *state
	conn  *conn // nil without Server
	ep    *endpoint
	now   time.Time
	from  client

	buf                  []byte
	fromConn, fromShared int64 // of the budgets, for buf
	claimed, sum         digest
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x, ok := h.requestStates.Get().(*requestState)
	if !ok {
		return // never: the pool holds nothing else
	}
	x.state, x.now, x.conn, x.ep = h.state.Load(), h.now(), connOf(r.Context()), nil
	x.from = clientOf(r, x.conn.peerOr(r.RemoteAddr), x.state.trusted)
	x.serve(w, r)
	x.conn, x.ep = nil, nil
	h.requestStates.Put(x)
}

func (x *requestState) serve(w http.ResponseWriter, r *http.Request) {
	v, ok := x.admit(r)
	if !ok {
		x.refuse(w, r, v)
		return
	}
	defer x.release()
	v, ok = x.readBody(r)
	x.conn.beginRequest() // from here on the connection is not closed in favour of others
	defer x.conn.endRequest()
	var verified *key
	if ok {
		if verified = x.verify(r); verified == nil {
			v = x.failed()
		}
	}
	if verified == nil {
		x.refuse(w, r, v)
		return
	}
	x.accept(w, r, verified) //nolint:contextcheck // see deadlines
}

// admit makes the checks that need no body, in the order in which they are promised.
func (x *requestState) admit(r *http.Request) (verdict, bool) {
	x.ep = x.state.byPath[r.URL.Path]
	switch {
	case x.ep == nil, r.URL.RawPath != "": // written with escapes: %6c for l, or %2f, which is no slash of the path
		return notFound, false
	case r.Method != http.MethodPost:
		return methodNotAllowed, false
	case len(x.state.allow) > 0 && !contains(x.state.allow, x.from.addr):
		return forbiddenAddress, false
	case !fulfilled(x.ep.required, r):
		return forbiddenHeader, false
	case !isPlainJSON(r.Header):
		return unsupportedMedia, false
	}
	return accepted, true
}

// isPlainJSON reports whether the body is said to be JSON without any content encoding. "identity" is none (RFC 9110 section 12.5.3).
func isPlainJSON(header http.Header) bool {
	types, encodings := header["Content-Type"], header["Content-Encoding"]
	if len(types) != 1 || len(encodings) > 1 || len(encodings) == 1 && !strings.EqualFold(encodings[0], "identity") {
		return false
	}
	if types[0] == "application/json" {
		return true
	}
	media, _, _ := strings.Cut(types[0], ";")
	return strings.EqualFold(strings.TrimSpace(media), "application/json")
}

func (x *requestState) verify(r *http.Request) *key {
	wellFormed := parseSignature(r.Header, &x.claimed)
	return verify(x.ep.keys, x.buf, &x.claimed, &x.sum, wellFormed)
}

// failed is the verdict on a request that did not verify: 429 takes the place of 401 for an address that goes on.
func (x *requestState) failed() verdict {
	if x.h.visitors.mayFail(x.from.group(), x.now, x.state.failureBurst, x.state.failureEvery) {
		return badSignature
	}
	return rateLimited
}

// accept makes a verified body durable and answers what became of it.
func (x *requestState) accept(w http.ResponseWriter, r *http.Request, verified *key) {
	h, ep := x.h, x.ep
	x.conn.verified()
	if verified.matches.Add(1) == 1 {
		h.log.Info("a secret has verified its first delivery since the start", "endpoint", ep.name, "secret", verified.name)
	}
	ep.counters.lastVerified.Store(x.now.UnixNano())
	e := x.event(r, verified)
	x.release()
	decoded, err := signal.Decode(e.Body)
	if err == nil {
		e.Signal = decoded
	}
	body := queue.DigestOf(e.Body)
	if seq, known := h.answered.find(e, body, x.now, x.state.window); known {
		x.done(w, r, e, queue.Receipt{Verdict: queue.Duplicate, Seq: seq})
		return
	}
	receipt, err := h.queue.Append(h.deadlines.in(x.state.appendTimeout), e, x.quarantineReason(e))
	if err != nil {
		x.notStored(w, r, e, err)
		return
	}
	h.answered.add(e, body, receipt)
	x.done(w, r, e, receipt)
}

// event is what the queue stores: it shares nothing with x.
func (x *requestState) event(r *http.Request, verified *key) *queue.Event {
	body := make([]byte, len(x.buf))
	copy(body, x.buf)
	delivery, note := deliveryID(r.Header)
	e := &queue.Event{
		ReceivedAt: x.now,
		ReceivedBy: x.h.bridge,
		Endpoint:   x.ep.name,
		DeliveryID: delivery,
		Signature:  single(r, signatureHeader),
		SecretName: verified.name,
		ClientAddr: x.from.text,
		Body:       body,
	}
	if note != "" {
		e.Notes = []string{note}
	}
	for _, name := range x.state.keep {
		if name == "Host" {
			e.Header = append(e.Header, queue.Header{Name: name, Value: r.Host})
			continue
		}
		values := r.Header[name]
		if len(values) == 0 { // it was looked for and not there, which an event of an older configuration can't say
			values = []string{""}
		}
		for _, value := range values {
			e.Header = append(e.Header, queue.Header{Name: name, Value: value})
		}
	}
	return e
}

// quarantineReason returns why e can't go to the outputs as it stands, or "".
func (x *requestState) quarantineReason(e *queue.Event) string {
	s := e.Signal
	if s == nil {
		return signal.ReasonNotJSON
	}
	if problem := s.Problem(); problem != "" {
		return problem
	}
	if x.ep.tenants != nil && !x.ep.tenants[s.TenantID] {
		return ReasonUnexpectedTenant
	}
	return x.ep.freshness(s, x.now)
}

// freshness judges the signed body's own timestamp: no header is signed.
func (ep *endpoint) freshness(s *signal.Signal, now time.Time) string {
	sent, ok := s.SentAt()
	switch {
	case !ok && s.Timestamp == "":
		return ReasonNoTimestamp
	case !ok:
		return ReasonOddTimestamp
	case now.Sub(sent) > ep.maxAge:
		return ReasonStale
	case sent.Sub(now) > ep.clockSkew:
		return ReasonFuture
	}
	return ""
}

// done answers, counts and logs what the queue did.
func (x *requestState) done(w http.ResponseWriter, r *http.Request, e *queue.Event, receipt queue.Receipt) {
	t, v := x.ep.counters, quarantined
	switch receipt.Verdict {
	case queue.Accepted:
		v = accepted
		t.lastAccepted.Store(x.now.UnixNano())
	case queue.Duplicate:
		v = duplicate
	}
	t.count(v)
	if v == quarantined {
		t.quarantined.count(receipt.Reason)
		x.h.answers.forQuarantine(receipt.Reason).write(w, r)
	} else {
		x.h.answers.plain[v].write(w, r)
	}
	x.tell(v, x.ep.name, e.DeliveryID, e, receipt)
	x.watchClock(e, receipt)
	x.h.queueErrors.recovered(x.h.log)
	x.logReceipt(r.Context(), e, receipt)
	if receipt.Reused {
		t.reused.Add(1)
	}
}

// notStored answers 503: nothing is known to be durable, so the sender must try again.
func (x *requestState) notStored(w http.ResponseWriter, r *http.Request, e *queue.Event, err error) {
	v := unavailable
	if errors.Is(err, queue.ErrFull) {
		v = queueFull
	}
	x.ep.counters.count(v)
	x.h.refusals.add(e.DeliveryID, Refusal{At: x.now, Reason: v.String(), Status: v.status(), Endpoint: x.ep.name, Address: x.from.text})
	x.h.answers.plain[v].write(w, r)
	x.tell(v, x.ep.name, e.DeliveryID, e, queue.Receipt{})
	if r.Context().Err() == nil { // a client that has gone is not a failure of ours
		x.h.queueErrors.report(x.h.log, e, err)
	}
}
