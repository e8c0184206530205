package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// maxFileBytes bounds what is read of a file of certificates: a system's bundle is 250 KiB.
const maxFileBytes = 4 << 20

// expiryWarning is how long before a certificate's end the operator is told.
const expiryWarning = 14 * 24 * time.Hour

// checkKeyPair looks whether the certificate and key can be read and used, and for how long.
func (l *loader) checkKeyPair(certAt, keyAt keyPath, certFile, keyFile string) {
	if certFile == "" {
		l.errorf(certAt, "", "is missing: a key needs its certificate")
	}
	if keyFile == "" {
		l.errorf(keyAt, "", "is missing: a certificate needs its key")
	}
	certPEM, certOK := l.readFile(certAt, certFile)
	keyPEM, keyOK := l.readFile(keyAt, keyFile)
	if keyOK {
		l.checkKeyMode(keyAt, keyFile)
	}
	if !certOK || !keyOK {
		return
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		l.errorf(certAt, "", "the certificate and the key can't be used together: %s", err)
		return
	}
	l.checkExpiry(certAt, pair.Leaf)
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
	case now.Add(expiryWarning).After(cert.NotAfter):
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
	pem, ok := l.readFile(at, file)
	if ok && !x509.NewCertPool().AppendCertsFromPEM(pem) {
		l.errorf(at, "", "%q holds no PEM certificate", file)
	}
}

// readFile reads a file that the configuration names; an empty name is the caller's to report.
func (l *loader) readFile(at keyPath, file string) ([]byte, bool) {
	if file == "" {
		return nil, false
	}
	data, err := readRegular(file)
	if err != nil {
		l.errorf(at, "", "can't read %q: %s", file, err)
		return nil, false
	}
	return data, true
}

// readRegular reads a regular file of at most maxFileBytes. A pipe in its place doesn't make it wait.
func readRegular(file string) ([]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0) //nolint:gosec // the operator names the file in the configuration
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close() //nolint:errcheck // read only
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err == nil && len(data) > maxFileBytes {
		err = errors.New("too large: longer than " + FormatSize(maxFileBytes))
	}
	return data, reason(err)
}

// reason is a file error without the operation and the path, which the text around it has said.
func reason(err error) error {
	if p := new(fs.PathError); errors.As(err, &p) {
		return p.Err
	}
	return err
}
