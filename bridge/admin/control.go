package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/logging"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

const (
	maxListed      = 500
	controlTimeout = 50 * time.Second
	maxIDBytes     = 1024
)

// requestError is the caller's mistake: 400, and exit code 2 of the command.
type requestError struct{ text string }

func (e *requestError) Error() string { return e.text }

// errNoItem is 404.
var errNoItem = errors.New("it is not in the quarantine")

// controlRoutes is the control socket. GET shows, POST and DELETE act and are logged with who it was.
func (s *Server) controlRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /v1/status", s.answer(func(context.Context, *http.Request) (any, error) { return s.status(), nil }))
	mux.Handle("GET /v1/quarantine", s.answer(s.listQuarantine))
	mux.Handle("GET /v1/quarantine/{id}", s.answer(s.showQuarantined))
	mux.Handle("POST /v1/quarantine/{id}/resend", s.answer(s.resend))
	mux.Handle("DELETE /v1/quarantine/{id}", s.answer(s.drop))
	mux.Handle("GET /v1/trace", s.answer(s.traceID))
	mux.Handle("GET /v1/reconcile", s.answer(s.reconcileRange))
	return mux
}

// answer checks the caller, bounds the request and writes what do returns.
func (s *Server) answer(do func(context.Context, *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := peerOf(r.Context()); p.refused != nil {
			s.opts.Log.Warn("refused a caller of the control socket", slog.String("event", "admin_refused"), slog.Any("by", p), slog.Any("error", p.refused))
			writeJSON(w, http.StatusForbidden, Problem{"not allowed: " + p.refused.Error()})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
		ctx, cancel := context.WithTimeout(r.Context(), controlTimeout)
		defer cancel()
		v, err := do(ctx, r)
		if err != nil {
			writeJSON(w, statusOf(err), Problem{err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, v)
	})
}

func statusOf(err error) int {
	var bad *requestError
	switch {
	case errors.As(err, &bad):
		return http.StatusBadRequest
	case errors.Is(err, errNoItem):
		return http.StatusNotFound
	case errors.Is(err, queue.ErrFull), errors.Is(err, queue.ErrUnavailable):
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

func (s *Server) listQuarantine(ctx context.Context, r *http.Request) (any, error) {
	after, err := number(r, "after")
	if err != nil {
		return nil, err
	}
	limit, err := number(r, "limit")
	if err != nil {
		return nil, err
	}
	if limit == 0 || limit > maxListed {
		limit = maxListed
	}
	items, err := s.opts.Queue.ListQuarantine(ctx, after, int(limit), true)
	if err != nil {
		return nil, err
	}
	list := QuarantineList{Items: make([]QuarantineItem, 0, len(items))}
	for _, it := range items {
		list.Items = append(list.Items, wireItem(it, false))
	}
	if n := len(items); n > 0 && uint64(n) == limit {
		list.Next = items[n-1].ID
	}
	return list, nil
}

func (s *Server) showQuarantined(ctx context.Context, r *http.Request) (any, error) {
	it, err := s.item(ctx, r, false)
	if err != nil {
		return nil, err
	}
	return wireItem(it, true), nil
}

// item finds the item that the path names.
func (s *Server) item(ctx context.Context, r *http.Request, brief bool) (queue.QuarantineItem, error) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil || id == 0 {
		return queue.QuarantineItem{}, &requestError{"an item's id is a number from 1"}
	}
	found, err := s.opts.Queue.ListQuarantine(ctx, id-1, 1, brief)
	if err != nil {
		return queue.QuarantineItem{}, err
	}
	if len(found) == 0 || found[0].ID != id {
		return queue.QuarantineItem{}, fmt.Errorf("item %d: %w", id, errNoItem)
	}
	return found[0], nil
}

func (s *Server) resend(ctx context.Context, r *http.Request) (any, error) {
	var req ResendRequest
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&req); err != nil && !errors.Is(err, io.EOF) {
		return nil, &requestError{"the request is not understood: " + err.Error()}
	}
	if err := s.checkOutputs(req.Outputs); err != nil {
		return nil, err
	}
	it, err := s.item(ctx, r, true)
	if err != nil {
		return nil, err
	}
	seq, err := s.opts.Queue.Resend(ctx, it.ID, req.Outputs)
	s.logAction(ctx, r, "quarantined event re-sent", "quarantine_resent", it, err,
		slog.Uint64("bridge_seq", seq), slog.Any("outputs", req.Outputs))
	return ResendAnswer{ID: it.ID, Seq: seq}, err
}

func (s *Server) checkOutputs(names []string) error {
	known := s.opts.Queue.Status().Outputs
	for _, name := range names {
		if !slices.ContainsFunc(known, func(o queue.OutputStatus) bool { return o.Name == name }) {
			return &requestError{fmt.Sprintf("there is no output %q", logging.Clean(name))}
		}
	}
	return nil
}

func (s *Server) drop(ctx context.Context, r *http.Request) (any, error) {
	it, err := s.item(ctx, r, true)
	if err != nil {
		return nil, err
	}
	err = s.opts.Queue.DropQuarantine(ctx, it.ID)
	s.logAction(ctx, r, "quarantined event dropped", "quarantine_dropped", it, err)
	return wireItem(it, false), err
}

// logAction writes the line that says who did what to an event, also when it failed.
func (s *Server) logAction(ctx context.Context, r *http.Request, text, event string, it queue.QuarantineItem, err error, more ...slog.Attr) {
	attrs := append([]slog.Attr{
		slog.String("event", event), slog.Uint64("item", it.ID), slog.String("reason", it.Reason),
		slog.String("output", it.Output), slog.String("delivery_id", it.Event.DeliveryID), slog.Any("by", peerOf(ctx)),
	}, more...)
	if claimed := r.Header.Get(userHeader); claimed != "" {
		attrs = append(attrs, slog.String("claimed_user", claimed[:min(len(claimed), 64)]))
	}
	level := slog.LevelInfo
	if err != nil {
		level, text = slog.LevelError, text+" without success"
		attrs = append(attrs, slog.Any("error", err))
	}
	s.opts.Log.LogAttrs(ctx, level, text, attrs...) //nolint:sloglint // text is one of two constants
}

func (s *Server) traceID(ctx context.Context, r *http.Request) (any, error) {
	id := r.URL.Query().Get("id")
	if id == "" || len(id) > maxIDBytes {
		return nil, &requestError{"trace wants one delivery or signal id"}
	}
	t, err := trace(ctx, s.opts.Queue, id)
	t.Refused = s.opts.Source.Refusals(id)
	return t, err
}

// reconcileRange answers for one output, or for all of them.
func (s *Server) reconcileRange(ctx context.Context, r *http.Request) (any, error) {
	first, err := number(r, "first")
	if err != nil {
		return nil, err
	}
	last, err := number(r, "last")
	if err != nil {
		return nil, err
	}
	if last != 0 && last < first {
		return nil, &requestError{"the range ends before it begins"}
	}
	names := r.URL.Query()["output"]
	if len(names) == 0 {
		for _, o := range s.opts.Queue.Status().Outputs {
			names = append(names, o.Name)
		}
	}
	all := make([]Reconciliation, 0, len(names))
	for _, name := range names {
		one, err := reconcile(ctx, s.opts.Queue, name, first, last)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func number(r *http.Request, key string) (uint64, error) {
	text := r.URL.Query().Get(key)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, &requestError{key + " is a number from 0"}
	}
	return n, nil
}
