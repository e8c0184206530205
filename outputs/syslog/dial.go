package syslog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/tlsclient"
)

// dialed is a connection on which nothing was sent yet but the TLS handshake.
type dialed struct {
	addr    address
	conn    net.Conn // what to write to: *tls.Conn or the meter
	meter   *meter
	tls     *tls.ConnectionState
	trusted <-chan struct{} // see stream
	at      time.Time
}

// connector makes the connections of one output.
type connector struct {
	settings *Settings
	expiry   *tlsclient.Expiry
	now      func() time.Time
	owner    func() error // see meter
}

// dial connects to one address. Names are looked up anew each time; every IP address of a name is tried.
func (c *connector) dial(ctx context.Context, a address) (*dialed, error) {
	d, err := c.connect(ctx, a)
	if err != nil {
		return nil, at(ctx, a, err)
	}
	return d, nil
}

// at names the address of a failure, and says so when it was the time that ran out.
func at(ctx context.Context, a address, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = cause
	}
	return &addressError{a, err}
}

func (c *connector) connect(ctx context.Context, a address) (*dialed, error) {
	raw, err := c.socket(ctx, a)
	if err != nil {
		return nil, err
	}
	m, err := newMeter(raw, c.owner)
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	d := &dialed{addr: a, conn: m, meter: m, at: time.Now()}
	if !a.tls() {
		return d, nil
	}
	if err := c.handshake(ctx, d); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return d, nil
}

func (c *connector) socket(ctx context.Context, a address) (net.Conn, error) {
	dialer := c.settings.dialer()
	switch a.scheme {
	case "udp":
		return dialer.DialContext(ctx, "udp", a.target)
	case "unix":
		conn, err := dialer.DialContext(ctx, "unixgram", a.target)
		if errors.Is(err, syscall.EPROTOTYPE) { // a stream socket is bound there
			conn, err = dialer.DialContext(ctx, "unix", a.target)
		}
		return conn, err
	default:
		return dialer.DialContext(ctx, "tcp", a.target)
	}
}

func (c *connector) handshake(ctx context.Context, d *dialed) error {
	config, err := c.settings.Config(d.addr.host, c.now)
	if err != nil {
		return err
	}
	config.DynamicRecordSizingDisabled = true // batches are larger than a record anyway
	tickets := &ticketBell{rung: make(chan struct{})}
	config.ClientSessionCache = tickets
	conn := tls.Client(d.meter, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS: %w", tlsclient.WithHint(err))
	}
	state := conn.ConnectionState()
	d.conn, d.tls = conn, &state
	if config.GetClientCertificate != nil && state.Version >= tls.VersionTLS13 {
		d.trusted = tickets.rung
	}
	c.expiry.SetPeer(d.addr.String(), state)
	return nil
}

// ticketBell is a session cache that keeps nothing and rings at the first ticket: with TLS 1.3, the sign that the
// server has verified the client's certificate.
type ticketBell struct {
	once sync.Once
	rung chan struct{}
}

// Get implements tls.ClientSessionCache.
func (*ticketBell) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

// Put implements tls.ClientSessionCache.
func (b *ticketBell) Put(string, *tls.ClientSessionState) { b.once.Do(func() { close(b.rung) }) }

// addressError names the address at which something failed.
type addressError struct {
	addr address
	err  error
}

// Error implements error.
func (e *addressError) Error() string { return e.addr.String() + ": " + e.err.Error() }

// Unwrap implements errors.Unwrap's contract.
func (e *addressError) Unwrap() error { return e.err }

// addressErrors is what a Send gets when no address could be reached.
type addressErrors []error

// Error implements error, in one line.
func (e addressErrors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap implements errors.Is's contract for several errors.
func (e addressErrors) Unwrap() []error { return e }

// classify turns the failures of all addresses into what the worker should do: go on as usual, or raise the alarm and
// go on slowly when only an operator can mend every one of them.
func (e addressErrors) classify() error {
	for _, err := range e {
		if !forOperator(err) {
			return e
		}
	}
	return &outputs.BlockedError{Err: e}
}

// classify is classify for one connection that ended without having delivered anything: with TLS 1.3, the refusal of our
// certificate comes after the handshake.
func classify(err error, proven bool) error {
	if !proven && forOperator(err) {
		return &outputs.BlockedError{Err: err}
	}
	return err
}

// forOperator reports whether err is about certificates: the peer's, or ours in the peer's eyes.
func forOperator(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		invalid      x509.CertificateInvalidError
		remote       *net.OpError
	)
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &hostname) ||
		errors.As(err, &invalid) ||
		errors.As(err, &remote) && remote.Op == "remote error" // crypto/tls: an alert that the peer sent
}
