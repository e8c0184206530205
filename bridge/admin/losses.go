package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// LossList is every loss that nobody has acknowledged, oldest first.
type LossList struct {
	Losses []Loss `json:"losses"`
}

// Loss is something that was acknowledged to a sender and is gone.
type Loss struct {
	ID      uint64    `json:"id"`
	At      time.Time `json:"at"` // when it was found
	What    string    `json:"what"`
	First   uint64    `json:"first,omitempty"`   // the bridge_seq between which the lost events lie; left out: not known
	Last    uint64    `json:"last,omitempty"`    //
	Records uint64    `json:"records,omitempty"` // how many of the queue's records are gone at the most; left out: not known
}

func (s *Server) listLosses(ctx context.Context, _ *http.Request) (any, error) {
	losses, err := s.opts.Queue.Losses(ctx)
	if err != nil {
		return nil, err
	}
	list := LossList{Losses: make([]Loss, 0, len(losses))}
	for _, l := range losses {
		list.Losses = append(list.Losses, Loss(l))
	}
	return list, nil
}

// acknowledgeLoss notes that somebody knows of a loss, and who.
func (s *Server) acknowledgeLoss(ctx context.Context, r *http.Request) (any, error) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil || id == 0 {
		return nil, &requestError{"a loss's id is a number from 1"}
	}
	l, err := s.findLoss(ctx, id)
	if err != nil {
		return nil, err
	}
	err = s.opts.Queue.Acknowledge(ctx, id, callerName(ctx, r))
	if errors.Is(err, queue.ErrNotFound) { // somebody was faster
		return nil, noLoss(id)
	}
	s.logAction(ctx, r, "loss acknowledged", "loss_acknowledged", err, slog.Uint64("loss", id), slog.String("what", l.What),
		slog.Uint64("first", l.First), slog.Uint64("last", l.Last), slog.Uint64("records", l.Records))
	return Loss(l), err
}

func (s *Server) findLoss(ctx context.Context, id uint64) (queue.Loss, error) {
	losses, err := s.opts.Queue.Losses(ctx)
	if err != nil {
		return queue.Loss{}, err
	}
	for _, l := range losses {
		if l.ID == id {
			return l, nil
		}
	}
	return queue.Loss{}, noLoss(id)
}

func noLoss(id uint64) error {
	return fmt.Errorf("loss %d: %w", id, errNoLoss)
}

// ReplayRequest asks for events to be sent to an output again.
type ReplayRequest struct {
	Output string `json:"output"`
	Since  string `json:"since"` // a duration before now: those received since then, as far as they are kept
}

// ReplayAnswer says how many there are.
type ReplayAnswer struct {
	Output string    `json:"output"`
	Since  time.Time `json:"since"`
	Events uint64    `json:"events"`
}

// ForgetRequest names an output, or a bridge of a shared queue, that has gone for good.
type ForgetRequest struct {
	Output string `json:"output,omitempty"`
	Bridge string `json:"bridge,omitempty"`
}

// ForgetAnswer says what an output had left; they are given up.
type ForgetAnswer struct {
	ForgetRequest
	Events uint64 `json:"events"`
}

// forget ends an output that no bridge delivers to any more, or forgets a bridge.
func (s *Server) forget(ctx context.Context, r *http.Request) (any, error) {
	var a ForgetAnswer
	if err := decodeRequest(r, &a.ForgetRequest); err != nil {
		return nil, err
	}
	var err error
	switch shared, ok := s.opts.Queue.(BridgeForgetter); {
	case (a.Output == "") == (a.Bridge == ""):
		return nil, &requestError{"name one output or one bridge"}
	case a.Output != "":
		a.Events, err = s.opts.Queue.Forget(ctx, a.Output)
	case !ok:
		return nil, &requestError{"the queue is this host's own: there is no other bridge"}
	default:
		err = shared.ForgetBridge(ctx, a.Bridge)
	}
	if errors.Is(err, queue.ErrNotFound) {
		return nil, &requestError{"there is none of that name"}
	}
	s.logAction(ctx, r, "an output or a bridge is forgotten", "queue_forgotten", err,
		slog.String("output", a.Output), slog.String("bridge", a.Bridge), slog.Uint64("events", a.Events))
	return a, err
}

// replay moves an output's cursor back.
func (s *Server) replay(ctx context.Context, r *http.Request) (any, error) {
	var req ReplayRequest
	if err := decodeRequest(r, &req); err != nil {
		return nil, err
	}
	if err := s.checkOutputs([]string{req.Output}); err != nil {
		return nil, err
	}
	ago, err := ParseAgo(req.Since)
	if err != nil {
		return nil, &requestError{"since: " + err.Error()}
	}
	a := ReplayAnswer{Output: req.Output, Since: s.opts.Now().Add(-ago)}
	a.Events, err = s.opts.Queue.Replay(ctx, a.Output, a.Since)
	s.logAction(ctx, r, "events are sent again", "queue_replayed", err,
		slog.String("output", a.Output), slog.Time("since", a.Since), slog.Uint64("events", a.Events))
	return a, err
}
