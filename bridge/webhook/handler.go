package webhook

import (
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/tail"
)

// Handler answers LinuxGuard's webhooks. It is an http.Handler of its own: Server adds the listeners, TLS and the
// limits on connections. The time for a request's body is the server's ReadTimeout; its expiry is answered 408.
type Handler struct {
	queue   queue.Appender
	bridge  string
	log     *slog.Logger
	now     func() time.Time
	answers *answers

	mu            sync.Mutex // orders reloads
	state         atomic.Pointer[state]
	requestStates sync.Pool

	answered    *answered
	visitors    *visitors
	refusals    *refusals
	bodies      budget
	deadlines   deadlines
	unmatched   counters // requests whose path is no endpoint's
	queueErrors queueErrors
	tail        *tail.Hub
	metrics     handlerMetrics
}

// state is the immutable part, replaced as a whole by Reload.
type state struct {
	endpoints  []*endpoint // in the order of Options
	byPath     map[string]*endpoint
	keep       []string
	trusted    []netip.Prefix
	allow      []netip.Prefix
	maxBody    int64
	bodyBudget int64

	window        time.Duration
	appendTimeout time.Duration
	failureBurst  int
	failureEvery  time.Duration
}

// endpoint is one Endpoint, ready for use.
type endpoint struct {
	path      string
	name      string
	keys      []*key
	required  []requirement
	tenants   map[string]bool // nil: any
	maxAge    time.Duration
	clockSkew time.Duration
	counters  *counters // outlives a reload
}

// NewHandler returns a Handler, or every error of opts at once.
func NewHandler(opts Options) (*Handler, error) {
	opts.setDefaults()
	h := &Handler{
		queue: opts.Queue, bridge: opts.Bridge, log: opts.Log, now: opts.Now, answers: newAnswers(), answered: newAnswered(opts.Queue),
		visitors: newVisitors(), refusals: newRefusals(), metrics: newHandlerMetrics(), tail: opts.Tail,
	}
	h.requestStates.New = func() any { return &requestState{h: h} }
	if err := h.Reload(opts); err != nil {
		return nil, err
	}
	return h, nil
}

// Prepare checks opts and returns the function that puts them into effect at once for all requests that begin
// afterwards. Counters of endpoints and secrets that keep their names go on. Queue, Log and Now stay as they were.
func (h *Handler) Prepare(opts Options) (apply func(), err error) {
	opts.Queue, opts.Log, opts.Now = h.queue, h.log, h.now
	opts.setDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.state.Store(newState(&opts, h.state.Load()))
	}, nil
}

// Reload is Prepare and its function. After an error everything is as before.
func (h *Handler) Reload(opts Options) error {
	apply, err := h.Prepare(opts)
	if err != nil {
		return err
	}
	apply()
	return nil
}

func newState(opts *Options, before *state) *state {
	s := &state{
		byPath: map[string]*endpoint{}, keep: canonical(opts.KeepHeaders),
		trusted: opts.TrustedProxies, allow: opts.Allow,
		maxBody: opts.MaxBodyBytes, bodyBudget: max(minBudget, 4*opts.MaxBodyBytes),
		window: opts.Window, appendTimeout: opts.AppendTimeout, failureBurst: opts.FailureBurst, failureEvery: opts.FailureEvery,
	}
	for i := range opts.Endpoints {
		ep := newEndpoint(&opts.Endpoints[i], before)
		s.endpoints = append(s.endpoints, ep)
		s.byPath[opts.Endpoints[i].Path] = ep
	}
	return s
}

func newEndpoint(o *Endpoint, before *state) *endpoint {
	ep := &endpoint{name: o.Name, path: o.Path, required: newRequirements(o.RequiredHeaders), maxAge: o.MaxAge, clockSkew: o.ClockSkew}
	ep.counters = before.countersOf(o.Name)
	for _, name := range o.Tenants {
		if ep.tenants == nil {
			ep.tenants = map[string]bool{}
		}
		ep.tenants[name] = true
	}
	for _, s := range o.Secrets {
		ep.keys = append(ep.keys, newKey(s.Name, s.Value, ep.counters.matchesOf(s.Name)))
	}
	return ep
}

func (s *state) countersOf(name string) *counters {
	if s != nil {
		for _, ep := range s.endpoints {
			if ep.name == name {
				return ep.counters
			}
		}
	}
	return newCounters()
}
