package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"
)

// maxAnswer bounds what a client reads: a payload of maxShown bytes is four times as long in JSON at worst.
const maxAnswer = 6*maxShown + 1<<20

// Client speaks to a running bridge's control socket. It is what the commands use.
type Client struct {
	socket string
	user   string
	http   *http.Client
}

// NewClient returns a client for the socket at path; it connects with each call. user is what the log calls the
// caller beside what the kernel says ($SUDO_USER), and may be empty.
func NewClient(path, user string) *Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	return &Client{socket: path, user: user, http: &http.Client{
		Timeout: time.Minute,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "unix", path)
			},
		},
	}}
}

// RefusedError is an answer that isn't 200. Status is HTTP's.
type RefusedError struct {
	Status int
	Text   string
}

// Error implements error.
func (e *RefusedError) Error() string { return e.Text }

// Status asks for the whole status.
func (c *Client) Status(ctx context.Context) (st Status, err error) {
	return st, c.call(ctx, http.MethodGet, "/v1/status", nil, &st)
}

// Quarantine returns one page of the quarantine, the items above after.
func (c *Client) Quarantine(ctx context.Context, after uint64) (list QuarantineList, err error) {
	return list, c.call(ctx, http.MethodGet, "/v1/quarantine?after="+strconv.FormatUint(after, 10), nil, &list)
}

// Quarantined returns one item with its payload.
func (c *Client) Quarantined(ctx context.Context, id uint64) (it QuarantineItem, err error) {
	return it, c.call(ctx, http.MethodGet, itemPath(id), nil, &it)
}

// Resend puts an item back into the queue, for the named outputs or those that it was meant for.
func (c *Client) Resend(ctx context.Context, id uint64, outputs []string) (a ResendAnswer, err error) {
	return a, c.call(ctx, http.MethodPost, itemPath(id)+"/resend", ResendRequest{Outputs: outputs}, &a)
}

// Drop deletes an item for good and returns what it was, without the payload.
func (c *Client) Drop(ctx context.Context, id uint64) (it QuarantineItem, err error) {
	return it, c.call(ctx, http.MethodDelete, itemPath(id), nil, &it)
}

// Trace tells what became of a delivery or signal ID.
func (c *Client) Trace(ctx context.Context, id string) (t Trace, err error) {
	return t, c.call(ctx, http.MethodGet, "/v1/trace?"+url.Values{"id": {id}}.Encode(), nil, &t)
}

// Audit accounts for a range of bridge_seq.
func (c *Client) Audit(ctx context.Context, req AuditRequest) (a Audit, err error) {
	q := url.Values{"output": req.Outputs}
	q.Set("first", strconv.FormatUint(req.First, 10))
	q.Set("last", strconv.FormatUint(req.Last, 10))
	if req.Since != 0 {
		q.Set("since", req.Since.String())
	}
	return a, c.call(ctx, http.MethodGet, "/v1/audit?"+q.Encode(), nil, &a)
}

// Losses returns what is lost and not acknowledged.
func (c *Client) Losses(ctx context.Context) (list LossList, err error) {
	return list, c.call(ctx, http.MethodGet, "/v1/losses", nil, &list)
}

// Reload has the bridge read its configuration again.
func (c *Client) Reload(ctx context.Context) (a ReloadAnswer, err error) {
	return a, c.call(ctx, http.MethodPost, "/v1/reload", nil, &a)
}

// AcknowledgeLoss says that the caller knows of a loss, and returns it.
func (c *Client) AcknowledgeLoss(ctx context.Context, id uint64) (l Loss, err error) {
	return l, c.call(ctx, http.MethodPost, "/v1/losses/"+strconv.FormatUint(id, 10)+"/acknowledge", nil, &l)
}

// Replay sends an output again what was received since so long ago, as far as it is kept.
func (c *Client) Replay(ctx context.Context, output string, since time.Duration) (a ReplayAnswer, err error) {
	return a, c.call(ctx, http.MethodPost, "/v1/queue/replay", ReplayRequest{Output: output, Since: since.String()}, &a)
}

// Forget ends an output that no bridge delivers to any more, or forgets a bridge of a shared queue.
func (c *Client) Forget(ctx context.Context, req ForgetRequest) (a ForgetAnswer, err error) {
	return a, c.call(ctx, http.MethodPost, "/v1/queue/forget", req, &a)
}

func itemPath(id uint64) string { return "/v1/quarantine/" + strconv.FormatUint(id, 10) }

func (c *Client) call(ctx context.Context, method, path string, body, answer any) error {
	var sent io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://bridge"+path, sent)
	if err != nil {
		return err
	}
	if c.user != "" {
		req.Header.Set(userHeader, c.user)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.explain(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	return decodeAnswer(resp, answer)
}

// stream hands a long answer to read while it comes, for no longer than limit (0: for ever).
func (c *Client) stream(ctx context.Context, path string, limit time.Duration, read func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://bridge"+path, nil)
	if err != nil {
		return err
	}
	unhurried := *c.http
	unhurried.Timeout = limit
	resp, err := unhurried.Do(req)
	if err != nil {
		return c.explain(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if resp.StatusCode != http.StatusOK {
		return decodeAnswer(resp, nil)
	}
	return read(resp.Body)
}

func decodeAnswer(resp *http.Response, answer any) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("the bridge's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var p Problem
		if json.Unmarshal(body, &p) != nil || p.Error == "" {
			p.Error = "the bridge answers " + resp.Status
		}
		return &RefusedError{Status: resp.StatusCode, Text: p.Error}
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("the bridge's answer is not understood (is it of another version?): %w", err)
	}
	return nil
}

// explain says what to do about a socket that can't be reached.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no bridge answers at %s: is it running? (systemctl status linuxguard-bridge)", c.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no access to %s: use sudo, or join the group linuxguard-bridge", c.socket)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the made-up URL
	}
	return fmt.Errorf("control socket %s: %w", c.socket, err)
}
