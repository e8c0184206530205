// Package pemfile reads certificates and keys from PEM files (RFC 7468), and says in plain words what is wrong with one and how to put it right:
// the errors of the standard library name neither the file nor the form that it has instead.
package pemfile

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/permission"
)

// ExpiryNotice is how long before its end a certificate is warned of, wherever it is: whoever renews by a machine does so 30 days before.
const ExpiryNotice = 21 * 24 * time.Hour

// MaxBytes bounds what is read of a file: a system's bundle of authorities is 250 KiB.
const MaxBytes = 4 << 20

// Error says which file is to blame, what is wrong with it and what to do.
type Error struct {
	File string
	Err  error
	Fix  string // "" when there is no more to say
}

// Error implements error, on one line.
func (e *Error) Error() string {
	text := fmt.Sprintf("%q %s", e.File, e.Err)
	if e.Fix != "" {
		text += " (" + e.Fix + ")"
	}
	return text
}

// Unwrap implements errors.Unwrap's contract.
func (e *Error) Unwrap() error { return e.Err }

// Read reads a regular file of at most MaxBytes. A pipe in its place doesn't make it wait. Its error is an *Error.
func Read(file string) ([]byte, error) {
	data, err := permission.ReadRegular(file, MaxBytes, nil)
	if err == nil {
		return data, nil
	}
	failure := &Error{File: file, Err: fmt.Errorf("can't be read: %w", permission.Reason(err))}
	if errors.Is(err, fs.ErrPermission) {
		failure.Fix = permission.Remedy(file, permission.Read)
	}
	return nil, failure
}

// Pool reads the certificates of authorities. Its error is an *Error.
func Pool(file string) (*x509.CertPool, error) {
	data, err := Read(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, notA(file, data, certificateBlock)
	}
	return pool, nil
}

// KeyPair reads a certificate with its chain, and its key. Its error is an *Error.
func KeyPair(certFile, keyFile string) (tls.Certificate, error) {
	certPEM, err := Read(certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyPEM, err := Read(keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err == nil {
		return pair, nil
	}
	chain := certificates(certPEM)
	if len(chain) == 0 {
		return pair, notA(certFile, certPEM, certificateBlock)
	}
	key, keyErr := privateKey(keyPEM)
	if keyErr != nil {
		return pair, notA(keyFile, keyPEM, keyBlock)
	}
	for i, cert := range chain {
		if i > 0 && belongs(key, cert) {
			return pair, &Error{certFile, errors.New("has the certificates in the wrong order"), "the server's own comes first, then the one that signed it, and so on"}
		}
	}
	if !belongs(key, chain[0]) {
		return pair, &Error{keyFile, fmt.Errorf("is not the key of the certificate in %q", certFile),
			fmt.Sprintf("openssl x509 -in %s -pubkey -noout and openssl pkey -in %s -pubout print the same for a pair", certFile, keyFile)}
	}
	return pair, &Error{File: certFile, Err: fmt.Errorf("can't be used with %q: %w", keyFile, err)}
}

// Certificates returns the certificates of a PEM file in their order, without those that can't be parsed.
func Certificates(file string) ([]*x509.Certificate, error) {
	data, err := Read(file)
	return certificates(data), err
}

func certificates(data []byte) []*x509.Certificate {
	var all []*x509.Certificate
	for _, block := range blocks(data) {
		if block.Type != certificateBlock {
			continue
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			all = append(all, cert)
		}
	}
	return all
}

func blocks(data []byte) []*pem.Block {
	var all []*pem.Block
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		all = append(all, block)
	}
	return all
}

func privateKey(data []byte) (crypto.Signer, error) {
	for _, block := range blocks(data) {
		if key, err := parseKey(block.Bytes); err == nil {
			return key, nil
		}
	}
	return nil, errors.New("no private key")
}

func parseKey(der []byte) (crypto.Signer, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if signer, ok := key.(crypto.Signer); ok {
			return signer, nil
		}
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	return x509.ParseECPrivateKey(der)
}

func belongs(key crypto.Signer, cert *x509.Certificate) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}

// What blocks of PEM are called (RFC 7468).
const (
	certificateBlock = "CERTIFICATE"
	keyBlock         = "PRIVATE KEY"
)

// notA says what file is, in place of a PEM file with the wanted kind of block.
func notA(file string, data []byte, wanted string) *Error {
	failure := func(what, fix string, args ...any) *Error {
		return &Error{file, errors.New(what), fmt.Sprintf(fix, args...)}
	}
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return failure("is empty", "")
	case bytes.HasPrefix(data, []byte("\ufeff")):
		return failure("begins with a byte order mark, which an editor has put there", "sed -i '1s/^\\xef\\xbb\\xbf//' %s", file)
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return failure("is written as UTF-16", "iconv -f UTF-16 -t ASCII %s > %s.pem", file, file)
	case isPKCS12(data):
		return failure("is a PKCS#12 file (.p12, .pfx), not PEM", "openssl pkcs12 -nodes -in %s -out %s.pem", file, file)
	case isDER(data):
		if _, err := x509.ParseCertificate(data); err == nil {
			return failure("is a certificate in DER form, not PEM", "openssl x509 -inform DER -in %s -out %s.pem", file, file)
		}
		return failure("is in DER form, not PEM", "openssl pkey -inform DER -in %s -out %s.pem", file, file)
	}
	for _, block := range blocks(data) {
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			if wanted == keyBlock {
				return failure("is encrypted with a passphrase, which a service cannot be asked for", "openssl pkey -in %s -out %s.pem", file, file)
			}
		case block.Type == "PKCS7":
			return failure("is a PKCS#7 file (.p7b)", "openssl pkcs7 -print_certs -in %s -out %s.pem", file, file)
		case strings.HasSuffix(block.Type, "CERTIFICATE REQUEST"):
			return failure("is a request for a certificate", "send it to the certificate authority and use its answer")
		case block.Type == "OPENSSH PRIVATE KEY" && wanted == keyBlock:
			return failure("is a key of SSH", "ssh-keygen -p -m PEM -f COPY rewrites a copy of it as PEM")
		case block.Type == "TRUSTED CERTIFICATE" && wanted == certificateBlock:
			return failure("is in OpenSSL's own form", "openssl x509 -in %s -out %s.pem", file, file)
		case block.Type == certificateBlock && wanted == certificateBlock:
			if _, err := x509.ParseCertificate(block.Bytes); err != nil {
				return failure("holds a damaged certificate: "+err.Error(), "")
			}
		case strings.HasSuffix(block.Type, keyBlock) && wanted == certificateBlock:
			return failure("holds a private key and no certificate", "")
		case block.Type == certificateBlock && wanted == keyBlock:
			return failure("holds a certificate and no private key", "")
		}
	}
	if wanted == keyBlock {
		return failure("holds no private key in PEM form", "it has a line -----BEGIN PRIVATE KEY-----")
	}
	return failure("holds no certificate in PEM form", "it has a line -----BEGIN CERTIFICATE-----")
}

// isDER reports whether data is one SEQUENCE of ASN.1, as certificates and keys are.
func isDER(data []byte) bool {
	var whole asn1.RawValue
	rest, err := asn1.Unmarshal(data, &whole)
	return err == nil && len(rest) == 0 && whole.Tag == asn1.TagSequence
}

// isPKCS12 reports whether data is a PFX of version 3 (RFC 7292 section 4).
func isPKCS12(data []byte) bool {
	var pfx struct {
		Version int
		Content struct {
			Type asn1.ObjectIdentifier
			Rest asn1.RawValue `asn1:"tag:0,explicit,optional"`
		}
		MAC asn1.RawValue `asn1:"optional"`
	}
	_, err := asn1.Unmarshal(data, &pfx)
	return err == nil && pfx.Version == 3
}
