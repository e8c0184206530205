package tlsclient

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/pemfile"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// recheck is how often Expiry reads the files again: a renewed certificate clears its warning within a minute.
const recheck = time.Minute

// warnings says what works but needs attention. Files that can't be read are Check's problems, not warnings.
func (s *Settings) warnings() []outputs.Warning {
	var found []outputs.Warning
	add := func(key, text string) {
		if text != "" {
			found = append(found, outputs.Warning{Key: key, Text: text})
		}
	}
	if s.TLSSkipVerify {
		add("tls_skip_verify", "the peer's certificate is not verified: anybody in between can read and change everything")
	}
	if s.KeyFile != "" {
		add("key_file", keyModeText(string(s.KeyFile)))
	}
	return found
}

// expiring is a certificate to warn of, and the key that names its file.
type expiring struct {
	key string
	outputs.Certificate
}

// expiring looks at our own certificate and at the authorities'.
func (s *Settings) expiring(now time.Time) []expiring {
	var found []expiring
	add := func(key, file string, certs []*x509.Certificate) {
		for _, cert := range certs {
			if text := expiryText(cert, now); text != "" {
				found = append(found, expiring{key, outputs.Certificate{ID: idOf(cert), Where: file, Text: text}})
			}
		}
	}
	if s.CertFile != "" {
		certs, _ := pemfile.Certificates(string(s.CertFile)) // what can't be read is reported where the file is used
		add("cert_file", string(s.CertFile), certs[:min(1, len(certs))])
	}
	if s.CAFile != "" {
		certs, _ := pemfile.Certificates(string(s.CAFile))
		add("ca_file", string(s.CAFile), certs)
	}
	return found
}

// idOf names a certificate, wherever it is found.
func idOf(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

func expiryText(cert *x509.Certificate, now time.Time) string {
	name := cert.Subject.CommonName
	if name == "" {
		name = cert.Subject.String()
	}
	day := cert.NotAfter.UTC().Format("2006-01-02 15:04 MST")
	switch left := cert.NotAfter.Sub(now); {
	case left < 0:
		return fmt.Sprintf("the certificate of %q has expired on %s: renew it", name, day)
	case now.Before(cert.NotBefore):
		return fmt.Sprintf("the certificate of %q is not valid before %s: check this host's clock", name,
			cert.NotBefore.UTC().Format("2006-01-02 15:04 MST"))
	case left < pemfile.ExpiryNotice:
		return fmt.Sprintf("the certificate of %q expires on %s, in %d days: renew it", name, day, int(left.Hours()/24))
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
	own     []outputs.Warning
	ending  []expiring
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

// Tell adds to an output's status what an operator should look at. The files are read at most once a minute.
func (e *Expiry) Tell(status *outputs.Status) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	if e.checked.IsZero() || now.Sub(e.checked) >= recheck || now.Before(e.checked) {
		e.checked, e.own, e.ending = now, e.settings.warnings(), e.settings.expiring(now)
	}
	for _, w := range e.own {
		status.Warnings = append(status.Warnings, w.Key+": "+w.Text)
	}
	for _, c := range e.ending {
		status.Certificates = append(status.Certificates, c.Certificate)
	}
	for _, address := range slices.Sorted(maps.Keys(e.peer)) {
		if text := expiryText(e.peer[address], now); text != "" {
			status.Certificates = append(status.Certificates, outputs.Certificate{ID: idOf(e.peer[address]), Where: address, Text: text})
		}
	}
}
