package config

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linuxguard/linuxguard-bridge/bridge/pemfile"
	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
	"github.com/linuxguard/linuxguard-bridge/bridge/setting"
)

// world is what the files under testdata refer to: certificates and secrets in a folder that they call DIR, an
// environment and a clock.
type world struct {
	dir string
	now time.Time
}

// today is the clock of the tests.
func today() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }

func newWorld(t *testing.T) *world { return newWorldAt(t, today()) }

func newWorldAt(t *testing.T, now time.Time) *world {
	t.Helper()
	w := &world{t.TempDir(), now}
	const day = 24 * time.Hour
	w.certificate(t, "tls", now.Add(-day), now.Add(90*day))
	w.certificate(t, "expired", now.Add(-90*day), now.Add(-day))
	w.certificate(t, "soon", now.Add(-80*day), now.Add(10*day))
	w.certificate(t, "future", now.Add(day), now.Add(90*day))
	w.certificate(t, "open", now.Add(-day), now.Add(90*day))
	w.mode(t, "open.key", 0o644)
	w.write(t, "text.pem", "no certificate in here", 0o600)
	w.write(t, "secret", "0123456789abcdef0123456789abcdef\n", 0o600)
	w.write(t, "same/secret", "another secret under the same name", 0o600)
	w.write(t, "copy", "0123456789abcdef0123456789abcdef", 0o600)
	w.write(t, "readable", "0123456789abcdef0123456789abcdef", 0o644)
	w.write(t, "empty", "\n", 0o600)
	w.write(t, "short", "hunter2", 0o600)
	w.write(t, "quoted", `"0123456789abcdef-quoted"`, 0o600)
	w.write(t, "blanks", "  0123456789abcdef-blanks\n", 0o600)
	w.write(t, "lines", "0123456789abcdef-lines\n\n", 0o600)
	w.write(t, "fifteen", "0123456789abcde", 0o600)
	w.write(t, "sixteen", "0123456789abcdef", 0o600)
	w.write(t, "large", strings.Repeat("x", pemfile.MaxBytes+1), 0o600)
	if err := unix.Mkfifo(w.path("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.write(t, "header", "Bearer 0123456789", 0o600)
	w.write(t, "multiline", "first line\nsecond line", 0o600)
	w.write(t, "credentials/webhook-secret", "fedcba9876543210fedcba9876543210", 0o600)
	w.write(t, "public/x", "", 0o600)
	w.mode(t, "public", 0o755)
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(t *testing.T, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(w.path(name)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.path(name), []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	w.mode(t, name, mode)
}

// mode sets a mode whatever the umask is.
func (w *world) mode(t *testing.T, name string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(w.path(name), mode); err != nil {
		t.Fatal(err)
	}
}

func (w *world) certificate(t *testing.T, name string, from, to time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"hooks.example.com"},
		NotBefore: from, NotAfter: to,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})), 0o644)
	w.write(t, name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), 0o600)
}

func (w *world) getenv(name string) string { return w.environment()[name] }

func (w *world) environment() map[string]string {
	return map[string]string{
		"CREDENTIALS_DIRECTORY": w.path("credentials"),
		"STATE_DIRECTORY":       w.path("state"),
		"RUNTIME_DIRECTORY":     w.path("run") + ":" + w.path("run/second"),
		"WEBHOOK_SECRET":        "secret from the environment",
		"HEADER":                "Bearer abc",
		"BLANKS":                " Bearer abc ",
	}
}

func (w *world) options() Options {
	return Options{
		Getenv: w.getenv, Now: func() time.Time { return w.now }, Construct: constructFake,
		FreeBytes: func(string) (int64, bool) { return 1 << 40, true },
	}
}

// load checks text, in which DIR stands for the world's folder.
func (w *world) load(text string, change ...func(*Options)) (*Config, *Report) {
	opts := w.options()
	w.issue(text)
	for _, f := range change {
		f(&opts)
	}
	return LoadFiles([]File{{Name: "config.toml", Data: []byte(strings.ReplaceAll(text, "DIR", w.dir))}}, opts)
}

// fakeSettings are those of the one kind of output that the tests know.
type fakeSettings struct {
	Addresses []string          `toml:"addresses"`
	Token     secret.Ref        `toml:"token"`
	BatchMax  setting.Size      `toml:"batch_max_bytes"`
	Linger    time.Duration     `toml:"linger"`
	Ratio     float64           `toml:"ratio"`
	Path      setting.WriteFile `toml:"path"`
	Count     uint8             `toml:"count"`
	Rules     []fakeRule        `toml:"rules"`
	Until     optionalDuration  `toml:"until"`
	fakeTLS
}

type fakeRule struct {
	Index string `toml:"index"`
}

type fakeTLS struct {
	CAFile setting.ReadFile `toml:"ca_file"`
}

// fakeKeyError is like outputs.KeyError.
type fakeKeyError struct {
	key string
	err error
}

func (e *fakeKeyError) Error() string     { return e.key + ": " + e.err.Error() }
func (e *fakeKeyError) Unwrap() error     { return e.err }
func (e *fakeKeyError) ConfigKey() string { return e.key }

// constructFake is a constructor with every way of complaining.
func constructFake(o *Output) ([]OutputWarning, error) {
	if o.Type != "fake" {
		return nil, &fakeKeyError{"type", errors.New("there is no such kind of output")}
	}
	var s fakeSettings
	errs := []error{o.Decode(&s)}
	var warnings []OutputWarning
	for i, a := range s.Addresses {
		switch a {
		case "bad":
			errs = append(errs, &fakeKeyError{"addresses[" + string(rune('0'+i)) + "]", errors.New("is a bad address")})
		case "plain":
			errs = append(errs, errors.New("a complaint without a key"))
		case "odd":
			warnings = append(warnings, OutputWarning{Key: "addresses", Text: "is an odd address"})
		}
	}
	return warnings, errors.Join(errs...)
}

// issue makes the certificates that only a case or two need: they cost more than the case.
func (w *world) issue(text string) {
	for name, make := range map[string]func(file string){
		"rsa": func(file string) {
			key, err := rsa.GenerateKey(rand.Reader, 3072)
			w.store(file, key, err, &x509.Certificate{DNSNames: []string{"hooks.example.com"}}, nil)
		},
		"named": func(file string) {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			w.store(file, key, err, &x509.Certificate{}, nil)
		},
		"lone":    func(file string) { w.chain(file, false) },
		"strange": func(file string) { w.chain(file, true) },
	} {
		if strings.Contains(text, "DIR/"+name+".pem") {
			make(w.path(name))
		}
	}
}

// chain makes a certificate that an authority has signed, with the authority's behind it or not.
func (w *world) chain(file string, whole bool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	authority := &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	ca := w.store(file+"-ca", key, err, authority, nil)
	parent := &signer{ca, key}
	leaf, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.store(file, leaf, err, &x509.Certificate{DNSNames: []string{"hooks.example.com"}}, parent)
	if whole {
		own, _ := os.ReadFile(file + ".pem")
		above, _ := os.ReadFile(file + "-ca.pem")
		if err := os.WriteFile(file+".pem", append(own, above...), 0o600); err != nil {
			panic(err)
		}
	}
}

// signer is an authority.
type signer struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// store writes a certificate for 90 days from now, and its key; without a parent it is self-signed.
func (w *world) store(file string, key crypto.Signer, err error, template *x509.Certificate, parent *signer) *x509.Certificate {
	if err != nil {
		panic(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(2), w.now.Add(-time.Hour), w.now.Add(90*24*time.Hour)
	if template.Subject.CommonName == "" {
		template.Subject.CommonName = "hooks.example.com"
	}
	by, byKey := template, key
	if parent != nil {
		by, byKey = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, key.Public(), byKey)
	if err != nil {
		panic(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	for suffix, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file+suffix, pem.EncodeToMemory(block), 0o600); err != nil {
			panic(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return cert
}
