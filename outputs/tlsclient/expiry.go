package tlsclient

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// Notice is how long before its end a certificate is warned of.
const Notice = 30 * 24 * time.Hour

// recheck is how often Expiry reads the files again: a renewed certificate clears its warning within a minute.
const recheck = time.Minute

// warnings says what works at now but needs attention. Files that can't be read are Check's problems, not warnings.
func (s *Settings) warnings(now time.Time) []outputs.Warning {
	var found []outputs.Warning
	add := func(key, text string) {
		if text != "" {
			found = append(found, outputs.Warning{Key: key, Text: text})
		}
	}
	if s.TLSSkipVerify {
		add("tls_skip_verify", "the peer's certificate is not verified: anybody in between can read and change everything")
	}
	if s.CertFile != "" {
		if certs := certificates(s.CertFile); len(certs) > 0 {
			add("cert_file", expiryText(s.CertFile, certs[0], now))
		}
	}
	if s.CAFile != "" {
		for _, cert := range certificates(s.CAFile) {
			add("ca_file", expiryText(s.CAFile, cert, now))
		}
	}
	if s.KeyFile != "" {
		add("key_file", keyModeText(s.KeyFile))
	}
	return found
}

// certificates returns what can be parsed of path; the rest is reported where the file is used.
func certificates(path string) []*x509.Certificate {
	rest, err := readPEM(path)
	if err != nil {
		return nil
	}
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return certs
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			certs = append(certs, cert)
		}
	}
}

func expiryText(where string, cert *x509.Certificate, now time.Time) string {
	name := cert.Subject.CommonName
	if name == "" {
		name = cert.Subject.String()
	}
	day := cert.NotAfter.UTC().Format("2006-01-02 15:04 MST")
	switch left := cert.NotAfter.Sub(now); {
	case left < 0:
		return fmt.Sprintf("%s: the certificate of %q has expired on %s: renew it", where, name, day)
	case now.Before(cert.NotBefore):
		return fmt.Sprintf("%s: the certificate of %q is not valid before %s: check this host's clock", where, name,
			cert.NotBefore.UTC().Format("2006-01-02 15:04 MST"))
	case left < Notice:
		return fmt.Sprintf("%s: the certificate of %q expires on %s, in %d days: renew it", where, name, day, int(left.Hours()/24))
	}
	return ""
}

func keyModeText(path string) string {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o007 == 0 {
		return ""
	}
	return fmt.Sprintf("other users can access %s (mode %04o): chmod o= %s", path, info.Mode().Perm(), path)
}

// Expiry keeps an eye on the certificates for an output's Status: our own and the authorities' from their files, the
// peer's from the last handshake. It is safe for concurrent use.
type Expiry struct {
	settings *Settings
	now      func() time.Time

	mu      sync.Mutex
	checked time.Time
	own     []string
	peer    map[string]*x509.Certificate // by address
}

// NewExpiry watches the files of settings, which must not change any more.
func NewExpiry(settings *Settings, now func() time.Time) *Expiry {
	return &Expiry{settings: settings, now: now, peer: map[string]*x509.Certificate{}}
}

// SetPeer remembers the certificate that the peer at address showed.
func (e *Expiry) SetPeer(address string, state tls.ConnectionState) {
	if len(state.PeerCertificates) == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.peer[address] = state.PeerCertificates[0]
}

// Warnings returns what an operator should look at, for outputs.Status. The files are read at most once a minute.
func (e *Expiry) Warnings() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	if e.checked.IsZero() || now.Sub(e.checked) >= recheck || now.Before(e.checked) {
		e.checked, e.own = now, nil
		for _, w := range e.settings.warnings(now) {
			e.own = append(e.own, w.Key+": "+w.Text)
		}
	}
	texts := append([]string(nil), e.own...)
	for _, address := range slices.Sorted(maps.Keys(e.peer)) {
		if text := expiryText(address, e.peer[address], now); text != "" {
			texts = append(texts, text)
		}
	}
	return texts
}
