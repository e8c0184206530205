package syslog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/tlsclient"
)

// Output delivers to one syslog collector, over one connection at a time.
type Output struct {
	env       outputs.Env
	log       *slog.Logger
	settings  *Settings
	addresses []address
	encoder   encoder // for Send
	renderer  encoder // for Render, with sequenceIds of its own
	connector *connector
	expiry    *tlsclient.Expiry
	counts    *counters
	pace      *rate.Limiter // of datagrams to udp:// addresses
	refusals  *refusals

	// Send's own.
	buf       []byte
	link      link
	again     []byte    // framed records to begin the next stream with
	againN    int       // how many
	retireAt  time.Time // when link has reached its age; zero: never
	first     int       // the address to begin with at the next connect
	lastError string    // logged; empty when something was delivered since
	lastPeer  string    // logged

	retiring sync.WaitGroup  // old links that say goodbye
	closing  context.Context // of those, ended by abandon
	abandon  context.CancelFunc

	mu     sync.Mutex
	status outputs.Status // what Status returns, but for State's dependence on the link
	live   link
}

// link is one connection, or one datagram socket.
type link interface {
	// send writes batch. It reports false, without calling done, when the connection had ended before anything of batch
	// was written; otherwise done is called once. *buf is memory to encode in.
	send(ctx context.Context, batch []outputs.Record, buf *[]byte, done func(error)) (taken bool)
	// usable is false when the connection has ended.
	usable() bool
	// state is up, idle when the peer ended the connection while nothing was in flight, or down.
	state() outputs.State
	// outcome waits until every batch of an ended connection is settled. It returns whether the connection had delivered
	// anything and why it ended.
	outcome() (proven bool, err error)
	// shutdown waits for the confirmation of what is in flight, says goodbye as the protocol wants and closes, within
	// ctx. Everything is settled when it returns.
	shutdown(ctx context.Context) error
	// drain waits until nothing is in flight, the connection has ended or ctx has.
	drain(ctx context.Context)
	// expired reports that the connection should be replaced like one that has reached its age.
	expired() bool
	level() outputs.Level
}

var (
	_ outputs.Output   = (*Output)(nil)
	_ outputs.Prober   = (*Output)(nil)
	_ outputs.Renderer = (*Output)(nil)
)

// Batching implements outputs.Output.
func (o *Output) Batching() outputs.Batching {
	b := outputs.Batching{MaxRecords: 512, MaxBytes: 512 << 10, Linger: 5 * time.Millisecond, MaxInFlight: o.settings.MaxInFlight}
	if o.addresses[0].relp() {
		// Several batches fit into the window, so that one can be on its way while another is answered.
		b.MaxInFlight = min(b.MaxInFlight, o.settings.RELPWindow)
		b.MaxRecords = max(1, min(b.MaxRecords, b.MaxInFlight/4))
	}
	b.MaxRecords = min(b.MaxRecords, b.MaxInFlight)
	return b
}

// Send implements outputs.Output. It connects when there is no connection, trying every address in order once.
func (o *Output) Send(ctx context.Context, batch []outputs.Record, done func(error)) {
	var ended error
	for range 2 { // a connection that turns out to have ended is replaced once
		l, err := o.connected(ctx)
		if err != nil {
			done(err)
			return
		}
		if l.send(ctx, batch, &o.buf, done) {
			return
		}
		ended = o.discardLink()
	}
	done(classify(ended, false))
}

// connected returns a usable link.
func (o *Output) connected(ctx context.Context) (link, error) {
	if o.link != nil && o.link.usable() && o.aged() {
		o.replace(ctx)
	}
	if o.link != nil && !o.link.usable() {
		_ = o.discardLink() // its batches know
	}
	if o.link != nil {
		return o.link, nil
	}
	return o.connect(ctx)
}

func (o *Output) aged() bool {
	return o.link.expired() || !o.retireAt.IsZero() && time.Now().After(o.retireAt)
}

// replace retires a link that has reached its age. What it has in flight is waited for, which keeps the order; its
// closeTxnr goes on in the background.
func (o *Output) replace(ctx context.Context) {
	old := o.link
	old.drain(ctx)
	if !old.usable() {
		return
	}
	o.link, o.first = nil, 0
	o.setLive(nil)
	o.counts.connectionReplaced.Inc()
	o.retiring.Go(func() { //nolint:contextcheck // the goodbye outlives the Send that caused it
		ctx, cancel := context.WithTimeout(o.closing, o.settings.AckTimeout)
		defer cancel()
		_ = old.shutdown(ctx)
	})
}

// discardLink forgets a link that has ended and returns why it did. If it had delivered nothing, the next connect begins with the next address: a
// collector that accepts connections and takes nothing must not keep the others from being tried.
func (o *Output) discardLink() error {
	proven, err := o.link.outcome()
	idle := o.link.state() == outputs.StateIdle
	if s, ok := o.link.(*stream); ok {
		o.repeat(s)
	}
	o.link = nil
	o.setLive(nil)
	if idle { // receivers close idle connections all the time
		o.log.Debug("the peer closed the idle connection", "address", o.addresses[o.first].String())
		o.first = 0
		o.setState(outputs.StateIdle, "")
		return err
	}
	o.counts.connectionLost.Inc()
	if proven {
		o.first, o.lastError = 0, ""
	} else {
		o.first = (o.first + 1) % len(o.addresses)
	}
	o.note(err)
	return err
}

// repeat notes what the next connection has to begin with.
func (o *Output) repeat(s *stream) {
	framed, n := s.again()
	if n == 0 {
		return
	}
	o.again, o.againN = append(o.again, framed...), o.againN+n
	o.counts.repeated.Add(float64(n))
	o.log.Warn("the receiver has stopped reading: what its kernel acknowledged last is sent again",
		"address", s.addr.String(), "records", n)
}

// note logs an error when its text changes and shows it in the status until something works.
func (o *Output) note(err error) {
	o.setState(outputs.StateDown, "")
	if text := err.Error(); text != o.lastError {
		o.lastError = text
		o.log.Warn("connection failed", "error", text)
	}
}

// connect tries all addresses once, in order from o.first.
func (o *Output) connect(ctx context.Context) (link, error) {
	var failed addressErrors
	for i := range o.addresses {
		at := (o.first + i) % len(o.addresses)
		a := o.addresses[at]
		o.setState(outputs.StateConnecting, a.String())
		l, err := o.open(ctx, a)
		if err == nil {
			o.first, o.link = at, l
			o.up(ctx, a, l)
			if s, ok := l.(*stream); ok && o.againN > 0 && s.sendAgain(ctx, o.again, o.againN) {
				o.again, o.againN = nil, 0
			}
			return l, nil
		}
		o.counts.connectFailed.Inc()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if errors.Is(err, outputs.ErrNotOwner) {
			return nil, err
		}
		failed = append(failed, err)
	}
	o.first = 0
	o.note(failed)
	return nil, failed.classify()
}

func (o *Output) up(ctx context.Context, a address, l link) {
	o.counts.connected.Inc()
	o.log.Log(ctx, o.connectLogLevel(a), "connected", "address", a.String(), "delivery", l.level().String())
	o.setState(outputs.StateUp, a.String())
	o.setLive(l)
	o.retireAt = time.Time{}
	if age := *o.settings.MaxConnectionAge; age > 0 {
		// Up to a tenth less, so that many bridges don't come back at once.
		o.retireAt = time.Now().Add(age - time.Duration(rand.Int64N(int64(age)/10+1))) //nolint:gosec // spread, not secrecy
	}
}

// connectLogLevel is the level of a line about a connection to a: Debug for an address whose last connection failed as well.
func (o *Output) connectLogLevel(a address) slog.Level {
	known := o.lastPeer == a.String() && o.lastError != ""
	o.lastPeer = a.String()
	if known {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// open makes a link of a new connection to a.
func (o *Output) open(ctx context.Context, a address) (link, error) {
	ctx, cancel := o.connectContext(ctx)
	defer cancel()
	d, err := o.connector.dial(ctx, a)
	if err != nil {
		return nil, err
	}
	return o.wrap(ctx, d)
}

// connectContext bounds one attempt at one address.
func (o *Output) connectContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, o.settings.ConnectTimeout,
		fmt.Errorf("timed out after connect_timeout (%v)", o.settings.ConnectTimeout))
}

// Close implements outputs.Output.
func (o *Output) Close(ctx context.Context) error {
	var err error
	if o.link != nil {
		err = o.link.shutdown(ctx)
		if s, ok := o.link.(*stream); ok {
			o.repeat(s)
		}
		o.link = nil
	}
	if o.againN > 0 {
		o.log.Error("stopped before what a receiver may not have read could be sent again",
			"records", o.againN)
	}
	stop := context.AfterFunc(ctx, o.abandon)
	o.retiring.Wait()
	stop()
	o.abandon()
	o.setLive(nil)
	o.setState(outputs.StateIdle, "")
	return err
}

// Render implements outputs.Renderer.
func (o *Output) Render(rec outputs.Record) ([]byte, error) {
	out, _ := o.renderer.Append(nil, &rec)
	return out, nil
}
