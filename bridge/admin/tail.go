package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
	"github.com/linuxguard/linuxguard-bridge/bridge/tail"
)

// Bounds of one write to a watcher: who does not read for so long is let go.
const (
	tailWrite      = 10 * time.Second
	tailEndTimeout = 500 * time.Millisecond // once the bridge stops
)

// tail sends a JSON object a line for what happens from now on, until the caller goes or the bridge stops.
func (s *Server) tail(w http.ResponseWriter, r *http.Request) {
	filter, err := s.tailFilter(r.URL.Query())
	if err != nil {
		writeJSON(w, statusOf(err), Problem{display.Error(err)})
		return
	}
	watcher, err := s.opts.Tail.Watch(filter)
	if err != nil {
		writeJSON(w, http.StatusServiceUnavailable, Problem{err.Error()})
		return
	}
	defer watcher.Close()
	out := http.NewResponseController(w)
	if err := errors.Join(out.SetReadDeadline(time.Time{}), out.SetWriteDeadline(time.Now().Add(tailWrite))); err != nil {
		writeJSON(w, http.StatusInternalServerError, Problem{err.Error()})
		return
	}
	ctx := r.Context()
	defer context.AfterFunc(ctx, func() { _ = out.SetWriteDeadline(time.Now().Add(tailEndTimeout)) })()
	s.opts.Log.Debug("tail begins", slog.Any("by", peerOf(ctx)))
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	encode := json.NewEncoder(w)
	for err = out.Flush(); err == nil; err = out.Flush() {
		line, ended := watcher.Next(ctx)
		if ended != nil {
			return
		}
		_ = out.SetWriteDeadline(time.Now().Add(tailWrite)) // it worked above
		if ctx.Err() != nil || encode.Encode(line) != nil { // after the deadline was set: the last word's must not be put off
			return
		}
	}
}

// tailFilter reads what the caller wants to see; names must be there.
func (s *Server) tailFilter(query url.Values) (tail.Filter, error) {
	f := tail.Filter{Way: query.Get("way"), Endpoints: query["endpoint"], Outputs: query["output"]}
	if text := query.Get("min_severity"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 5 {
			return f, &requestError{"the severity is a number from 1 (info) to 5 (critical)"}
		}
		f.MinSeverity = n
	}
	if !slices.Contains([]string{"", tail.In, tail.Out}, f.Way) {
		return f, &requestError{"the way is in or out"}
	}
	report := s.opts.Source.Report()
	var endpoints, outputs []string
	for _, e := range report.Receiver.Endpoints {
		endpoints = append(endpoints, e.Name)
	}
	for _, o := range report.Outputs {
		outputs = append(outputs, o.Name)
	}
	return f, errors.Join(known("endpoint", f.Endpoints, endpoints), known("output", f.Outputs, outputs))
}

// known names what there is when something else is asked for.
func known(kind string, wanted, have []string) error {
	for _, name := range wanted {
		if !slices.Contains(have, name) {
			return &requestError{fmt.Sprintf("there is no %s %q: there are %s", kind, name, strings.Join(have, ", "))}
		}
	}
	return nil
}

// How a tail ends that the caller has not ended.
var (
	ErrStopped = errors.New("the bridge has stopped")
	ErrCutOff  = errors.New("cut off: the bridge was killed, or let this terminal go because it did not read; run tail again")
)

// Tail calls show for each line until ctx ends, or show returns an error, which Tail returns then.
func (c *Client) Tail(ctx context.Context, f tail.Filter, show func(tail.Line) error) error {
	query := url.Values{"endpoint": f.Endpoints, "output": f.Outputs}
	if f.Way != "" {
		query.Set("way", f.Way)
	}
	if f.MinSeverity != 0 {
		query.Set("min_severity", strconv.Itoa(f.MinSeverity))
	}
	return c.stream(ctx, "/v1/tail?"+query.Encode(), 0, func(body io.Reader) error {
		for lines := json.NewDecoder(body); ; {
			var l tail.Line
			if err := lines.Decode(&l); err != nil {
				return cmp.Or(ctx.Err(), tailEnd(err))
			}
			if err := show(l); err != nil {
				return err
			}
		}
	})
}

// tailEnd tells a stream that was ended from one that broke off: HTTP's last chunk is what makes the difference.
func tailEnd(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return ErrStopped
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return ErrCutOff
	default:
		return fmt.Errorf("the bridge's answer: %w", err)
	}
}
