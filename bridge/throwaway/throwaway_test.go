package throwaway

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"
)

func TestIssuedCertificatesVerify(t *testing.T) {
	t.Parallel()
	now := time.Now()
	authority, err := NewAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue(now.Add(-time.Hour), now.Add(time.Hour), "hooks.test", "127.9.8.7")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := pair.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host  string
		roots *x509.CertPool
		at    time.Time
		good  bool
	}{
		{"hooks.test", authority.Pool(), now, true},
		{"127.9.8.7", authority.Pool(), now, true},
		{"other.test", authority.Pool(), now, false},
		{"hooks.test", x509.NewCertPool(), now, false},
		{"hooks.test", authority.Pool(), now.Add(2 * time.Hour), false},
	} {
		_, err := cert.Leaf.Verify(x509.VerifyOptions{DNSName: c.host, Roots: c.roots, CurrentTime: c.at})
		if (err == nil) != c.good {
			t.Errorf("%s at %v: %v", c.host, c.at, err)
		}
	}
	certFile, keyFile, err := pair.WriteFiles(t.TempDir(), "server")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.LoadX509KeyPair(certFile, keyFile); err != nil {
		t.Error(err)
	}
}
