package config

import (
	"bytes"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"

	"github.com/linuxguard/linuxguard-bridge/bridge/pemfile"
)

// checkKeyPair looks whether the certificate and key can be read and used, and for how long.
func (l *loader) checkKeyPair(certAt, keyAt keyPath, certFile, keyFile string) (pair tls.Certificate, ok bool) {
	if certFile == "" {
		l.errorf(certAt, "", "is missing: a key needs its certificate")
	}
	if keyFile == "" {
		l.errorf(keyAt, "", "is missing: a certificate needs its key")
	}
	if certFile == "" || keyFile == "" {
		return pair, false
	}
	certOK, keyOK := l.canRead(certAt, certFile), l.canRead(keyAt, keyFile)
	l.checkKeyMode(keyAt, keyFile)
	if !certOK || !keyOK {
		return pair, false
	}
	pair, err := pemfile.KeyPair(certFile, keyFile)
	if err != nil {
		l.pairError(certAt, keyAt, keyFile, err)
		return pair, false
	}
	l.checkExpiry(certAt, pair.Leaf)
	return pair, true
}

// pairError reports what is wrong with a pair at the file that is to blame; without one of them the other can still be looked at.
func (l *loader) pairError(certAt, keyAt keyPath, keyFile string, err error) {
	at := certAt
	var bad *pemfile.Error
	if errors.As(err, &bad) && bad.File == keyFile {
		at = keyAt
	} else if _, keyErr := pemfile.Read(keyFile); keyErr != nil {
		l.errorf(keyAt, "", "%s", keyErr)
	}
	l.errorf(at, "", "%s", err)
}

// fastRSABits is the size of an RSA key up to which a handshake costs about a millisecond.
const fastRSABits = 2048

// checkServerCertificate looks at what LinuxGuard will see: who signed it, which names it has, what its key costs.
func (l *loader) checkServerCertificate(at keyPath, pair tls.Certificate) {
	leaf := pair.Leaf
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		l.warnf(at, "ask for one with the name as subjectAltName: openssl req ... -addext subjectAltName=DNS:hooks.example.com",
			"the certificate has its name in CN alone, where no client looks any more: LinuxGuard will refuse to deliver")
	}
	if key, ok := leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > fastRSABits {
		l.warnf(at, "use ECDSA P-256: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
			"each new connection costs the CPU many times more with an RSA key of %d bits than with ECDSA P-256, and LinuxGuard may open one for each webhook", key.N.BitLen())
	}
	l.checkChain(at, pair)
}

// checkChain warns of a certificate that strangers don't trust. LinuxGuard says nothing when it refuses one, and everything on this side is green.
func (l *loader) checkChain(at keyPath, pair tls.Certificate) {
	if l.opts.Roots == nil {
		return
	}
	leaf, between := pair.Leaf, x509.NewCertPool()
	for _, der := range pair.Certificate[1:] {
		if cert, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(cert)
		}
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: l.opts.Roots, Intermediates: between, CurrentTime: l.opts.Now()})
	switch hint := "behind a proxy that ends TLS its certificate counts, not this one"; {
	case !errors.As(err, new(x509.UnknownAuthorityError)):
	case bytes.Equal(leaf.RawIssuer, leaf.RawSubject):
		l.warnf(at, hint, "the certificate is self-signed: LinuxGuard trusts public certificate authorities only and will refuse to deliver")
	case len(pair.Certificate) == 1:
		l.warnf(at, "use the file with the whole chain, often called fullchain.pem: the server's certificate first, then its CA's",
			"this host's roots don't lead to the certificate, and its file has no chain: LinuxGuard will refuse to deliver")
	default:
		l.warnf(at, hint, "the certificate's chain leads to none of this host's roots: LinuxGuard trusts public certificate authorities only and will refuse to deliver")
	}
}

// checkExpiry looks at the time for which a certificate is good.
func (l *loader) checkExpiry(at keyPath, cert *x509.Certificate) {
	now, day := l.opts.Now(), "2006-01-02 15:04 MST"
	switch {
	case now.After(cert.NotAfter):
		severity := Warning
		if l.opts.Strict {
			severity = Error
		}
		l.addLive(severity, at, "renew it", "the certificate has expired on "+cert.NotAfter.UTC().Format(day)+": LinuxGuard will refuse to deliver")
	case now.Before(cert.NotBefore):
		l.warnf(at, "is this host's clock right?", "the certificate is not valid before %s", cert.NotBefore.UTC().Format(day))
	case now.Add(pemfile.ExpiryNotice).After(cert.NotAfter):
		l.addLive(Warning, at, "renew it", "the certificate expires on "+cert.NotAfter.UTC().Format(day))
	}
}

// checkKeyMode warns of a private key that is open to everybody.
func (l *loader) checkKeyMode(at keyPath, file string) {
	info, err := os.Stat(file)
	if err == nil && info.Mode().Perm()&0o007 != 0 {
		l.warnf(at, "chmod o= "+file, "other users can read this private key (mode %04o)", info.Mode().Perm())
	}
}

// checkCAFile looks whether a file holds certificates.
func (l *loader) checkCAFile(at keyPath, file string) {
	if !l.canRead(at, file) {
		return
	}
	if _, err := pemfile.Pool(file); err != nil {
		l.errorf(at, "", "%s", err)
	}
}
