package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	hookPath  = "/webhooks/linuxguard"
	hmacKey   = "a secret of the bench, thirty-two+"
	idDigits  = 10 // of signal_id, so that every body has the same length
	maxEvents = 40_000_000
)

// load is one run of the generator: signed, distinct payloads over keep-alive connections, or over a new one each.
type load struct {
	pad   int // bytes added to each body
	addr  string
	conns int
	tls   *tls.Config   // nil: in clear
	fresh bool          // a new connection for each webhook; its time counts
	plain bool          // an answer of 200 says no more than that
	rate  int           // requests a second in all; 0: closed loop
	next  *atomic.Int64 // number of the next signal, over all runs against one daemon
	acked *idSet
}

// outcome is what one run of the generator saw.
type outcome struct {
	accepted int
	refused  int // answers other than 200
	failed   int // connection errors
	elapsed  time.Duration
	lat      []time.Duration // of every accepted one, sorted
}

// run sends for d and returns what was answered.
func (l *load) run(ctx context.Context, d time.Duration) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	results := make([]outcome, l.conns)
	errs := make([]error, l.conns)
	var wg sync.WaitGroup
	began := time.Now()
	for i := range l.conns {
		wg.Go(func() { errs[i] = l.connection(ctx, i, &results[i]) })
	}
	wg.Wait()
	var all outcome
	for _, r := range results {
		all.accepted += r.accepted
		all.refused += r.refused
		all.failed += r.failed
		all.lat = append(all.lat, r.lat...)
	}
	all.elapsed = time.Since(began)
	slices.Sort(all.lat)
	return all, errors.Join(errs...)
}

// dial opens a connection, with its handshake.
func (l *load) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", l.addr)
	if err != nil || l.tls == nil {
		return conn, err
	}
	secure := tls.Client(conn, l.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// client is one of a load's clients: its connection, and the payload that it sends.
type client struct {
	*load
	conn net.Conn // nil: none is open
	in   *bufio.Reader
	p    *payload
}

// send posts one signal.
func (c *client) send(ctx context.Context, id int64) (status int, err error) {
	if c.conn == nil {
		if c.conn, err = c.dial(ctx); err != nil {
			return 0, err
		}
		c.in.Reset(c.conn)
	}
	status, err = c.p.post(c.conn, c.in, id, c.plain)
	if c.fresh || err != nil {
		c.close()
	}
	return status, err
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// connection is one client's closed loop (or its share of the fixed rate).
func (l *load) connection(ctx context.Context, index int, o *outcome) error {
	c := &client{load: l, in: bufio.NewReaderSize(nil, 4096), p: newPayload(l.pad)}
	defer c.close()
	o.lat = make([]time.Duration, 0, 1<<14)
	due := time.Now()
	if l.rate > 0 { // spread the connections over one interval
		due = due.Add(time.Duration(index) * time.Second / time.Duration(l.rate))
	}
	for ctx.Err() == nil {
		if l.rate > 0 {
			due = due.Add(time.Duration(l.conns) * time.Second / time.Duration(l.rate))
			time.Sleep(time.Until(due))
		}
		id := l.next.Add(1)
		if id >= maxEvents {
			return fmt.Errorf("more than %d events in one run", maxEvents)
		}
		began := time.Now()
		status, err := c.send(context.WithoutCancel(ctx), id)
		if err != nil {
			o.failed++
			return fmt.Errorf("connection %d: %w", index, err)
		}
		if status != 200 {
			o.refused++
			continue
		}
		o.accepted++
		l.acked.add(id)
		if l.rate > 0 {
			began = due // latency counts from when the request was due, not from when the client got round to it
		}
		o.lat = append(o.lat, time.Since(began))
	}
	return nil
}

// payload is one connection's request, of which only the ids and the signature change.
type payload struct {
	request []byte
	body    []byte // the tail of request
	ids     [][]byte
	stamps  [][]byte // where the times of the body stand
	stamped int64    // the second that they say
	sign    []byte
	sum     [sha256.Size]byte
}

const idMark = "0000000000"

func newPayload(pad int) *payload {
	now := time.Now().UTC().Format(time.RFC3339)
	body := `{"event_type":"signal_created","version":"v1","timestamp":"` + now + `","tenant_id":"tn_7f3a",` +
		`"data":{"signal_id":"sig_` + idMark + `","signal_type":"sudo_command_executed","severity":4,` +
		`"description":"Sudo command executed by jsmith on web-01: /usr/bin/systemctl restart nginx (` + idMark + `)` + strings.Repeat("x", pad) + `",` +
		`"server_id":"srv_01","server_name":"web-01.example.com","identity_id":"idn_42","identity_name":"jsmith",` +
		`"environment":"production","created_at":"` + now + `"},` +
		`"console_url":"https://console.example.com/signals/sig_` + idMark + `"}`
	head := "POST " + hookPath + " HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nUser-Agent: LinuxGuard-Webhook/1.0\r\n" +
		"LinuxGuard-Event: signal_created\r\nLinuxGuard-Delivery: 6ba7b810-9dad-11d1-80b4-00" + idMark + "\r\n" +
		"LinuxGuard-Timestamp: " + strconv.FormatInt(time.Now().Unix(), 10) + "\r\n" +
		"LinuxGuard-Signature: sha256=" + string(bytes.Repeat([]byte("f"), 64)) + "\r\n" +
		"Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"
	p := &payload{request: []byte(head + body)}
	p.body = p.request[len(head):]
	for rest := p.request; ; {
		i := bytes.Index(rest, []byte(idMark))
		if i < 0 {
			break
		}
		p.ids = append(p.ids, rest[i:i+idDigits])
		rest = rest[i+idDigits:]
	}
	for rest := p.body; ; {
		i := bytes.Index(rest, []byte(now))
		if i < 0 {
			break
		}
		p.stamps = append(p.stamps, rest[i:i+len(now)])
		rest = rest[i+len(now):]
	}
	i := bytes.Index(p.request, []byte("sha256=")) + len("sha256=")
	p.sign = p.request[i : i+64]
	return p
}

// post sends the signal id and reads the answer.
func (p *payload) post(conn net.Conn, in *bufio.Reader, id int64, plain bool) (int, error) {
	for _, at := range p.ids {
		v := id
		for i := idDigits - 1; i >= 0; i-- {
			at[i] = byte('0' + v%10)
			v /= 10
		}
	}
	// A body must be fresh: one no newer than what the dedupe memory had to forget goes to the quarantine.
	if now := time.Now(); now.Unix() != p.stamped {
		p.stamped = now.Unix()
		for _, at := range p.stamps {
			copy(at, now.UTC().Format(time.RFC3339))
		}
	}
	mac := hmac.New(sha256.New, []byte(hmacKey))
	mac.Write(p.body)
	hex.Encode(p.sign, mac.Sum(p.sum[:0]))
	if _, err := conn.Write(p.request); err != nil {
		return 0, err
	}
	return readAnswer(in, plain)
}

// readAnswer reads one HTTP/1.1 answer with a Content-Length and returns its status. Unless plain is true it is 0 for a 200
// that isn't "accepted".
func readAnswer(in *bufio.Reader, plain bool) (int, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 12 || string(line[:9]) != "HTTP/1.1 " {
		return 0, fmt.Errorf("no HTTP answer: %q", line)
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, fmt.Errorf("no HTTP status: %q", line)
	}
	length := -1
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, fmt.Errorf("content length: %w", err)
			}
		}
	}
	if length < 0 {
		return 0, errors.New("an answer without Content-Length")
	}
	body, err := in.Peek(length)
	if err != nil {
		return 0, err
	}
	if status == http.StatusOK && !plain && !bytes.Contains(body, []byte("accepted")) {
		status = 0 // taken, and not forwarded: a duplicate, or in the quarantine
	}
	_, err = in.Discard(length)
	return status, err
}

// percentile returns the q-th part (0..1) of sorted latencies.
func percentile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
