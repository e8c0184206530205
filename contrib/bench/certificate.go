package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/throwaway"
)

// certificate is a server's, and the authority that clients trust.
type certificate struct {
	certFile, keyFile string
	pool              *x509.CertPool
}

// newCertificate makes one with a key of that kind and writes it into dir.
func newCertificate(dir, kind string) (*certificate, error) {
	key, err := newKey(kind)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	authority, err := throwaway.NewAuthority(now)
	if err != nil {
		return nil, err
	}
	pair, err := authority.IssueFor(key, now.Add(-time.Hour), now.Add(throwaway.Validity), "bench")
	if err != nil {
		return nil, err
	}
	c := &certificate{pool: authority.Pool()}
	c.certFile, c.keyFile, err = pair.WriteFiles(dir, strings.ReplaceAll(kind, " ", "-"))
	return c, err
}

func newKey(kind string) (crypto.Signer, error) {
	switch kind {
	case "RSA-2048":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "RSA-4096":
		return rsa.GenerateKey(rand.Reader, 4096)
	case "ECDSA P-256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return nil, fmt.Errorf("unknown kind of key %q", kind)
}

// client is how a client connects; resumed: with the sessions of its earlier connections.
func (c *certificate) client(resumed bool) *tls.Config {
	config := &tls.Config{RootCAs: c.pool, ServerName: "bench", MinVersion: tls.VersionTLS12}
	if resumed {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(64)
	}
	return config
}
