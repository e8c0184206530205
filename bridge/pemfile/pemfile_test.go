package pemfile_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/pemfile"
)

// pair makes a self-signed certificate and its key, in DER form.
func pair(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour)}
	if cert, err = x509.CreateCertificate(rand.Reader, template, template, private.Public(), private); err != nil {
		t.Fatal(err)
	}
	if key, err = x509.MarshalPKCS8PrivateKey(private); err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// pkcs12 is the outside of a PFX (RFC 7292 section 4): version 3, and content of the type data.
func pkcs12(t *testing.T) string {
	t.Helper()
	type content struct {
		Type asn1.ObjectIdentifier
		Data []byte `asn1:"tag:0,explicit"`
	}
	der, err := asn1.Marshal(struct {
		Version int
		Content content
	}{3, content{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}, []byte("authenticated safe")}})
	if err != nil {
		t.Fatal(err)
	}
	return string(der)
}

func TestKeyPairInPlainWords(t *testing.T) {
	t.Parallel()
	cert, key := pair(t)
	other, otherKey := pair(t)
	goodCert, goodKey := block("CERTIFICATE", cert), block("PRIVATE KEY", key)
	for name, c := range map[string]struct{ cert, key, blames, says string }{
		"good":              {goodCert, goodKey, "", ""},
		"chain":             {goodCert + block("CERTIFICATE", other), goodKey, "", ""},
		"both in one":       {goodKey + goodCert, goodKey + goodCert, "", ""},
		"wrong order":       {block("CERTIFICATE", other) + goodCert, goodKey, "cert", "wrong order"},
		"another key":       {goodCert, block("PRIVATE KEY", otherKey), "key", "is not the key of the certificate"},
		"encrypted":         {goodCert, block("ENCRYPTED PRIVATE KEY", []byte("locked")), "key", "openssl pkey -in"},
		"encrypted, old":    {goodCert, "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n", "key", "passphrase"},
		"DER":               {string(cert), goodKey, "cert", "openssl x509 -inform DER -in"},
		"DER key":           {goodCert, string(key), "key", "openssl pkey -inform DER -in"},
		"PKCS#12":           {pkcs12(t), goodKey, "cert", "openssl pkcs12 -nodes -in"},
		"PKCS#7":            {block("PKCS7", cert), goodKey, "cert", "openssl pkcs7 -print_certs -in"},
		"BOM":               {"\ufeff" + goodCert, goodKey, "cert", "byte order mark"},
		"BOM key":           {goodCert, "\ufeff" + goodKey, "key", "byte order mark"},
		"UTF-16":            {"\xff\xfe-\x00-\x00", goodKey, "cert", "UTF-16"},
		"empty":             {" \n", goodKey, "cert", "is empty"},
		"swapped":           {goodKey, goodCert, "cert", "holds a private key and no certificate"},
		"certificate twice": {goodCert, goodCert, "key", "holds a certificate and no private key"},
		"request":           {block("CERTIFICATE REQUEST", cert), goodKey, "cert", "request"},
		"SSH":               {goodCert, block("OPENSSH PRIVATE KEY", []byte("openssh-key-v1")), "key", "SSH"},
		"OpenSSL's own":     {block("TRUSTED CERTIFICATE", cert), goodKey, "cert", "openssl x509 -in"},
		"text":              {"no certificate", goodKey, "cert", "holds no certificate in PEM form"},
		"missing":           {"", goodKey, "cert", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			certFile, keyFile := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
			for file, text := range map[string]string{certFile: c.cert, keyFile: c.key} {
				if text == "" {
					continue
				}
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := pemfile.KeyPair(certFile, keyFile)
			if c.blames == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var bad *pemfile.Error
			if !errors.As(err, &bad) || bad.File != filepath.Join(dir, c.blames) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line that blames %s and says %q", err, c.blames, c.says)
			}
		})
	}
}

// TestRemedies types what the errors tell an operator to type, where openssl is there to obey.
func TestRemedies(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("install openssl: what the errors tell to type is tried with it")
	}
	cert, key := pair(t)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{"cert.der": string(cert), "key.der": string(key), "cert.pem": block("CERTIFICATE", cert), "key.pem": block("PRIVATE KEY", key)} {
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), openssl, args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	run("pkcs12", "-export", "-in", file("cert.pem"), "-inkey", file("key.pem"), "-passout", "pass:", "-out", file("both.p12"))
	run("pkey", "-in", file("key.pem"), "-aes128", "-passout", "pass:x", "-out", file("locked.pem"))
	for _, name := range []string{"cert.der", "both.p12"} {
		_, err := pemfile.KeyPair(file(name), file("key.pem"))
		var bad *pemfile.Error
		if !errors.As(err, &bad) || !strings.HasPrefix(bad.Fix, "openssl ") {
			t.Fatalf("%s: %v", name, err)
		}
		args := strings.Fields(bad.Fix)[1:]
		if name == "both.p12" {
			args = append(args, "-passin", "pass:")
		}
		run(args...)
		if _, err := pemfile.KeyPair(file(name)+".pem", file("key.pem")); err != nil {
			t.Errorf("after %q: %v", bad.Fix, err)
		}
	}
	for _, name := range []string{"key.der", "locked.pem"} {
		_, err := pemfile.KeyPair(file("cert.pem"), file(name))
		var bad *pemfile.Error
		if !errors.As(err, &bad) || !strings.HasPrefix(bad.Fix, "openssl ") {
			t.Fatalf("%s: %v", name, err)
		}
		run(append(strings.Fields(bad.Fix)[1:], "-passin", "pass:x")...)
		if _, err := pemfile.KeyPair(file("cert.pem"), file(name)+".pem"); err != nil {
			t.Errorf("after %q: %v", bad.Fix, err)
		}
	}
}
