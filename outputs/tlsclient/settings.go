package tlsclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/pemfile"
	"github.com/linuxguard/linuxguard-bridge/bridge/setting"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// Settings are the TLS keys of an output's table. Embed it in the kind's own settings.
type Settings struct {
	CAFile   setting.ReadFile `toml:"ca_file"`   // PEM, the authorities that may have signed the peer; empty: the system's
	CertFile setting.ReadFile `toml:"cert_file"` // PEM, our certificate and its chain; empty: none is shown
	KeyFile  setting.ReadFile `toml:"key_file"`  // PEM, the key to CertFile; both or none
	// ServerName is the name that the peer's certificate must carry; empty: the host of the address.
	ServerName string `toml:"server_name"`
	// TLSSkipVerify accepts any peer. It conflicts with CAFile, ServerName and PeerFingerprints.
	TLSSkipVerify bool `toml:"tls_skip_verify"`
	// PeerFingerprints are hashes of the peer's own certificate, such as "sha-256:AB:CD:..."; one must match.
	PeerFingerprints []string `toml:"peer_fingerprints"`
}

// IsZero reports whether no key is set at all, so that an output without any TLS address can say which keys do nothing.
func (s *Settings) IsZero() bool { return len(s.Keys()) == 0 }

// Keys lists the keys that are set, in the order of the documentation.
func (s *Settings) Keys() []string {
	var keys []string
	for _, k := range []struct {
		name string
		set  bool
	}{
		{"ca_file", s.CAFile != ""},
		{"cert_file", s.CertFile != ""},
		{"key_file", s.KeyFile != ""},
		{"server_name", s.ServerName != ""},
		{"tls_skip_verify", s.TLSSkipVerify},
		{"peer_fingerprints", len(s.PeerFingerprints) > 0},
	} {
		if k.set {
			keys = append(keys, k.name)
		}
	}
	return keys
}

// Check reads every file and returns all problems, each a *outputs.KeyError, and what works but needs attention at now.
func (s *Settings) Check(now time.Time) (problems []error, warnings []outputs.Warning) {
	problem := func(key string, err error) { problems = append(problems, &outputs.KeyError{Key: key, Err: err}) }
	if _, err := s.roots(); err != nil {
		problem("ca_file", err)
	}
	switch {
	case (s.CertFile == "") != (s.KeyFile == ""):
		key := "key_file"
		if s.CertFile == "" {
			key = "cert_file"
		}
		problem(key, errors.New("cert_file and key_file belong together: set both or none"))
	case s.CertFile != "":
		if key, err := s.checkKeyPair(); err != nil {
			problem(key, err)
		}
	}
	if err := checkServerName(s.ServerName); err != nil {
		problem("server_name", err)
	}
	if _, err := parseFingerprints(s.PeerFingerprints); err != nil {
		problem("peer_fingerprints", err)
	}
	if s.TLSSkipVerify && (s.CAFile != "" || s.ServerName != "" || len(s.PeerFingerprints) > 0) {
		problem("tls_skip_verify", errors.New("conflicts with ca_file, server_name and peer_fingerprints: nothing is verified"))
	}
	warnings = s.warnings()
	for _, c := range s.expiring(now) {
		warnings = append(warnings, outputs.Warning{Key: c.key, Text: c.Where + ": " + c.Text, Certificate: c.ID})
	}
	return problems, warnings
}

// checkKeyPair names the key of the file to blame.
func (s *Settings) checkKeyPair() (key string, err error) {
	_, err = s.keyPair()
	var bad *pemfile.Error
	if errors.As(err, &bad) && bad.File == string(s.KeyFile) {
		return "key_file", err
	}
	return "cert_file", err
}

func checkServerName(name string) error {
	if name == "" || net.ParseIP(name) != nil {
		return nil
	}
	if strings.ContainsAny(name, ":/ *") {
		return fmt.Errorf("%q is not a valid host name: give the name alone, without scheme and port", name)
	}
	return nil
}

// Config reads the files and returns the configuration for one connection to a peer that is called serverName (the
// host of the address; the setting of that name goes before it). Its error names the file that is to blame.
func (s *Settings) Config(serverName string, now func() time.Time) (*tls.Config, error) {
	if s.ServerName != "" {
		serverName = s.ServerName
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: serverName, Time: now}
	var err error
	if config.RootCAs, err = s.roots(); err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	if s.CertFile != "" {
		cert, err := s.keyPair()
		if err != nil {
			return nil, fmt.Errorf("cert_file: %w", err)
		}
		// Always shown, even if the server's list of authorities doesn't name its issuer: its refusal says more than
		// a silent "no certificate".
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	}
	if s.TLSSkipVerify {
		config.InsecureSkipVerify = true // the operator asked for it; status and log warn of it
		return config, nil
	}
	prints, err := parseFingerprints(s.PeerFingerprints)
	if err != nil {
		return nil, fmt.Errorf("peer_fingerprints: %w", err)
	}
	if len(prints) > 0 {
		config.InsecureSkipVerify = s.CAFile == "" // the fingerprint takes the place of the chain
		config.VerifyConnection = prints.verify
	}
	return config, nil
}

func (s *Settings) roots() (*x509.CertPool, error) {
	if s.CAFile == "" {
		return nil, nil // crypto/tls takes the system's
	}
	return pemfile.Pool(string(s.CAFile))
}

func (s *Settings) keyPair() (tls.Certificate, error) {
	return pemfile.KeyPair(string(s.CertFile), string(s.KeyFile))
}
