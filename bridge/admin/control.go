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

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
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

// What is 404.
var (
	errNoItem = errors.New("it is not in the quarantine")
	errNoLoss = errors.New("there is no such loss, or it is acknowledged")
)

// controlRoutes is the control socket. GET shows, POST and DELETE act and are logged with who it was.
func (s *Server) controlRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /v1/status", s.answer(func(context.Context, *http.Request) (any, error) { return s.status(), nil }))
	mux.Handle("GET /v1/quarantine", s.answer(s.listQuarantine))
	mux.Handle("GET /v1/quarantine/{id}", s.answer(s.showQuarantined))
	mux.Handle("POST /v1/quarantine/{id}/resend", s.answer(s.resend))
	mux.Handle("DELETE /v1/quarantine/{id}", s.answer(s.drop))
	mux.Handle("GET /v1/trace", s.answer(s.traceID))
	mux.Handle("GET /v1/audit", s.answer(s.auditRange))
	mux.Handle("GET /v1/losses", s.answer(s.listLosses))
	mux.Handle("POST /v1/losses/{id}/acknowledge", s.answer(s.acknowledgeLoss))
	mux.Handle("POST /v1/reload", s.answer(s.reload))
	mux.Handle("POST /v1/queue/replay", s.answer(s.replay))
	mux.Handle("POST /v1/queue/forget", s.answer(s.forget))
	mux.HandleFunc("GET /v1/queue/backup", s.backup)
	mux.HandleFunc("GET /v1/tail", s.tail)
	return mux
}

// answer bounds the request and writes what do returns.
func (s *Server) answer(do func(context.Context, *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	case errors.Is(err, errNoItem), errors.Is(err, errNoLoss), errors.Is(err, queue.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, queue.ErrFull), errors.Is(err, queue.ErrUnavailable):
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

func (s *Server) reload(ctx context.Context, r *http.Request) (any, error) {
	s.logAction(ctx, r, "reload asked for", "reload_asked", nil) // what comes of it has lines of its own
	restartNeeded, err := s.opts.Reload(ctx)
	if err != nil {
		return nil, errors.New(display.Error(err))
	}
	return ReloadAnswer{RestartNeeded: restartNeeded}, nil
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
	items, err := s.opts.Queue.ListDeadLetters(ctx, after, int(limit), true)
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
	it, err := s.item(ctx, r)
	if err != nil {
		return nil, err
	}
	return wireItem(it, true), nil
}

// item finds the item that the path names.
func (s *Server) item(ctx context.Context, r *http.Request) (queue.DeadLetter, error) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil || id == 0 {
		return queue.DeadLetter{}, &requestError{"an item's id is a number from 1"}
	}
	it, err := s.opts.Queue.GetDeadLetter(ctx, id)
	if errors.Is(err, queue.ErrNotFound) {
		err = fmt.Errorf("item %d: %w", id, errNoItem)
	}
	return it, err
}

func (s *Server) resend(ctx context.Context, r *http.Request) (any, error) {
	var req ResendRequest
	if err := decodeRequest(r, &req); err != nil {
		return nil, err
	}
	if err := s.checkOutputs(req.Outputs); err != nil {
		return nil, err
	}
	it, err := s.item(ctx, r)
	if err != nil {
		return nil, err
	}
	seq, err := s.opts.Queue.Resend(ctx, it.ID, req.Outputs)
	s.logItem(ctx, r, "quarantined event re-sent", "quarantine_resent", it, err,
		slog.Uint64("bridge_seq", seq), slog.Any("outputs", req.Outputs))
	return ResendAnswer{ID: it.ID, Seq: seq}, err
}

// decodeRequest reads a request's body; an empty one leaves v as it is.
func decodeRequest(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		return &requestError{"the request is not understood: " + err.Error()}
	}
	return nil
}

func (s *Server) checkOutputs(names []string) error {
	known := s.opts.Queue.Status().Outputs
	for _, name := range names {
		if !slices.ContainsFunc(known, func(o queue.OutputStatus) bool { return o.Name == name }) {
			return &requestError{fmt.Sprintf("there is no output %q", display.Line(name))}
		}
	}
	return nil
}

func (s *Server) drop(ctx context.Context, r *http.Request) (any, error) {
	it, err := s.item(ctx, r)
	if err != nil {
		return nil, err
	}
	err = s.opts.Queue.DropDeadLetter(ctx, it.ID)
	s.logItem(ctx, r, "quarantined event dropped", "quarantine_dropped", it, err)
	return wireItem(it, false), err
}

// logItem is logAction for an item of the quarantine.
func (s *Server) logItem(ctx context.Context, r *http.Request, text, event string, it queue.DeadLetter, err error, more ...slog.Attr) {
	attrs := append([]slog.Attr{
		slog.Uint64("item", it.ID), slog.String("reason", it.Reason),
		slog.String("output", it.Output), slog.String("delivery_id", it.Event.DeliveryID),
	}, more...)
	s.logAction(ctx, r, text, event, err, attrs...)
}

// logAction writes the line that says who did what, also when it failed.
func (s *Server) logAction(ctx context.Context, r *http.Request, text, event string, err error, more ...slog.Attr) {
	attrs := append([]slog.Attr{slog.String("event", event)}, more...)
	attrs = append(attrs, slog.Any("by", peerOf(ctx)))
	if claimed := claimedUser(r); claimed != "" {
		attrs = append(attrs, slog.String("claimed_user", claimed))
	}
	level := slog.LevelInfo
	if err != nil {
		level, text = slog.LevelError, text+" without success"
		attrs = append(attrs, slog.Any("error", err))
	}
	s.opts.Log.LogAttrs(ctx, level, text, attrs...) //nolint:sloglint // text is one of a few constants
}

// claimedUser is who calls by the caller's own word.
func claimedUser(r *http.Request) string {
	claimed := r.Header.Get(userHeader)
	return claimed[:min(len(claimed), 64)]
}

// callerName names the caller for what is stored: the claim, and the kernel's word.
func callerName(ctx context.Context, r *http.Request) string {
	who := peerOf(ctx).String()
	if claimed := claimedUser(r); claimed != "" {
		return fmt.Sprintf("%s (%s)", display.Line(claimed), who)
	}
	return who
}

func (s *Server) traceID(ctx context.Context, r *http.Request) (any, error) {
	id := r.URL.Query().Get("id")
	if id == "" || len(id) > maxIDBytes {
		return nil, &requestError{"trace wants one delivery or signal id"}
	}
	return s.trace(ctx, id)
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
