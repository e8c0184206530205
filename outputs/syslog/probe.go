package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// probeListen is how long a probe waits for a refusal after the handshake: of the client certificate, or of a proxy
// that has nobody behind it.
const probeListen = 300 * time.Millisecond

// Probe implements outputs.Prober: it connects to every address, and opens and closes a session where there is one. No
// message is sent.
func (o *Output) Probe(ctx context.Context) ([]outputs.Finding, error) {
	findings := make([]outputs.Finding, len(o.addresses))
	for i, a := range o.addresses {
		findings[i].Target = a.String()
		text, err := o.probe(ctx, a)
		if err != nil {
			var at *addressError
			if errors.As(err, &at) {
				err = at.err // the target stands beside it
			}
			findings[i].Text = err.Error()
			continue
		}
		findings[i].OK, findings[i].Text = true, text
	}
	return findings, nil
}

func (o *Output) probe(ctx context.Context, a address) (string, error) {
	ctx, cancel := o.connectContext(ctx)
	defer cancel()
	d, err := o.connector.dial(ctx, a)
	if err != nil {
		return "", err
	}
	defer d.meter.Close() //nolint:errcheck // nothing was sent
	var parts []string
	if a.scheme == "unix" {
		parts = append(parts, "connected, a "+map[string]string{"unix": "stream", "unixgram": "datagram"}[d.meter.RemoteAddr().Network()]+" socket")
	} else {
		parts = append(parts, "connected to "+d.meter.RemoteAddr().String())
	}
	if d.tls != nil {
		parts = append(parts, describeTLS(d.tls))
	}
	more, err := o.probeSession(ctx, d)
	if err != nil {
		return "", err
	}
	return strings.Join(append(parts, more), ", "), nil
}

// probeSession finds out what the transport lets one know.
func (o *Output) probeSession(ctx context.Context, d *dialed) (string, error) {
	switch {
	case d.addr.relp():
		reader := newRELPReader(d.conn)
		offers, err := openSession(ctx, d, reader, o.env.Version)
		if err != nil {
			return "", at(ctx, d.addr, err)
		}
		closeSession(d, reader)
		return fmt.Sprintf("RELP session opened with %q", offers.software), nil
	case isDatagram(d.meter):
		return "which does not show that anything listens: datagrams are not answered", nil
	default:
		if err := stillOpen(d.conn); err != nil {
			return "", err
		}
		return "the connection stays open; messages are framed as " + o.framing(d.addr) + ", which the receiver must expect", nil
	}
}

func isDatagram(conn net.Conn) bool {
	network := conn.RemoteAddr().Network()
	return network == "udp" || network == "unixgram"
}

// closeSession ends a session on which nothing was sent. What the peer makes of it changes nothing.
func closeSession(d *dialed, reader *relpReader) {
	_ = d.meter.SetDeadline(time.Now().Add(probeListen))
	if _, err := d.conn.Write(appendRELP(nil, 2, "close", nil)); err == nil {
		_, _ = reader.next()
	}
}

// stillOpen waits a moment for the peer to close.
func stillOpen(conn net.Conn) error {
	_ = conn.SetReadDeadline(time.Now().Add(probeListen))
	var buf [64]byte
	_, err := conn.Read(buf[:])
	switch {
	case err == nil || errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	case errors.Is(err, io.EOF):
		return errors.New("the peer accepted the connection and closed it at once")
	default:
		return fmt.Errorf("the peer accepted the connection and then refused it: %w", err)
	}
}

func describeTLS(state *tls.ConnectionState) string {
	cert := state.PeerCertificates[0]
	who := cert.Subject.CommonName
	if who == "" {
		who = cert.Subject.String()
	}
	return fmt.Sprintf("%s, certificate of %q until %s", tls.VersionName(state.Version), who, cert.NotAfter.UTC().Format("2006-01-02"))
}
