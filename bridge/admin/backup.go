package admin

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// Backer is a queue whose folder can be copied while it runs. A queue that lives elsewhere is backed up there.
type Backer interface {
	// Backup writes all that is acknowledged before the call to w, as an archive.
	Backup(ctx context.Context, w io.Writer) error
}

// backupTimeout bounds a copy: it holds back the deletion of what it copies.
const backupTimeout = time.Hour

// backup answers with an archive of the queue. An answer that can't be completed ends early, and the client sees that.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) {
	backer, ok := s.opts.Queue.(Backer)
	if !ok {
		writeJSON(w, http.StatusBadRequest, Problem{"this kind of queue has no folder: back up its database"})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), backupTimeout)
	defer cancel()
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(backupTimeout)); err != nil {
		writeJSON(w, http.StatusInternalServerError, Problem{err.Error()})
		return
	}
	w.Header().Set("Content-Type", "application/x-tar")
	err := backer.Backup(ctx, w)
	s.opts.Log.LogAttrs(r.Context(), slog.LevelInfo, "the queue was backed up", slog.Any("by", peerOf(r.Context())), slog.Any("error", err))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
}

// Backup copies the queue of a running bridge: restore reads its archive.
func (c *Client) Backup(ctx context.Context, restore func(io.Reader) error) error {
	return c.stream(ctx, "/v1/queue/backup", backupTimeout, func(body io.Reader) error {
		if err := restore(body); err != nil {
			return fmt.Errorf("the copy is not complete: %w", err)
		}
		return nil
	})
}
