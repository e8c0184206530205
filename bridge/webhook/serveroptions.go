package webhook

import (
	"cmp"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Defaults of ServerOptions.
const (
	DefaultMaxConnections = 256
	DefaultHeaderTimeout  = 5 * time.Second
	DefaultReadTimeout    = 15 * time.Second
	DefaultWriteTimeout   = 30 * time.Second
	DefaultIdleTimeout    = 2 * time.Minute
	DefaultMaxHeaderBytes = 8 << 10
)

// ServerOptions configures a Server. Zero values mean the defaults. One of TLSCert with TLSKey, ACME and Plaintext
// says how connections are protected.
type ServerOptions struct {
	Listen    []string       // host:port or unix:/path
	Listeners []net.Listener // already open, handed over by systemd; closed on Shutdown

	TLSCert, TLSKey string // PEM files, read again when they change
	ClientCAFile    string // PEM; clients must show a certificate of one of these
	ACME            *ACME
	// Plaintext serves without TLS: on loopback and unix sockets, elsewhere only to TrustedProxies.
	Plaintext      bool
	TrustedProxies []netip.Prefix

	MaxConnections int
	HeaderTimeout  time.Duration // for a request's header, and for the TLS handshake
	ReadTimeout    time.Duration // for header and body
	WriteTimeout   time.Duration // for the answer, from the end of the header on
	IdleTimeout    time.Duration // between two requests
	MaxHeaderBytes int

	// The rest can't be changed by Prepare.

	HTTP2          bool             // offered to clients; most attacks on a receiver need it, and no webhook sender does
	StateDirectory string           // for ACME's account and certificates
	Log            *slog.Logger     // nil: none
	Now            func() time.Time // nil: time.Now

	Metrics prometheus.Registerer // takes the server's metrics; nil: none

	certificatePoll time.Duration // how often certificate files are looked at; tests shorten it
}

func (o *ServerOptions) setDefaults() {
	o.certificatePoll = cmp.Or(o.certificatePoll, certificatePoll)
	o.MaxConnections = cmp.Or(o.MaxConnections, DefaultMaxConnections)
	o.HeaderTimeout = cmp.Or(o.HeaderTimeout, DefaultHeaderTimeout)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, DefaultReadTimeout)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, DefaultWriteTimeout)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, DefaultIdleTimeout)
	o.MaxHeaderBytes = cmp.Or(o.MaxHeaderBytes, DefaultMaxHeaderBytes)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// check refuses what would take webhooks in clear from the network. The rest is the configuration's to check, which does
// not know the sockets that systemd hands over.
func (o *ServerOptions) check() error {
	if !o.Plaintext {
		return nil
	}
	addresses := slices.Clone(o.Listen)
	for _, l := range o.Listeners {
		addresses = append(addresses, addressOf(l))
	}
	for _, address := range addresses {
		if !isLocal(address) && len(o.TrustedProxies) == 0 {
			return errors.New("plaintext on " + address + ": only loopback and unix sockets may go without TLS, or set trusted_proxies")
		}
	}
	return nil
}
