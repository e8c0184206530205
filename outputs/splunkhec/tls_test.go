package splunkhec

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/testcert"
	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
	"github.com/linuxguard/linuxguard-bridge/outputs/splunkhec/hectest"
)

// tlsServer serves splunk over HTTPS with set's certificate.
func tlsServer(t *testing.T, splunk http.Handler, set *testcert.Set, http2, clientCerts bool) *httptest.Server {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(set.ServerCert, set.ServerKey)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(splunk)
	server.Config.ErrorLog = quiet()
	server.EnableHTTP2 = http2
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	if clientCerts {
		pem, err := os.ReadFile(set.CAFile)
		if err != nil {
			t.Fatal(err)
		}
		server.TLS.ClientCAs = x509.NewCertPool()
		server.TLS.ClientCAs.AppendCertsFromPEM(pem)
		server.TLS.ClientAuth = tls.RequireAndVerifyClientCert
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func TestTLS(t *testing.T) {
	t.Parallel()
	set, other := testcert.NewSet(t, t.TempDir()), testcert.NewSet(t, t.TempDir())
	client := fmt.Sprintf("cert_file = %q\nkey_file = %q\n", set.ClientCert, set.ClientKey)
	ca := fmt.Sprintf("ca_file = %q\n", set.CAFile)
	for _, c := range []struct {
		name        string
		table       string
		clientCerts bool
		want        string
	}{
		{name: "private CA", table: ca, want: "delivered"},
		{name: "unknown CA", want: "blocked"},
		{name: "another CA", table: fmt.Sprintf("ca_file = %q", other.CAFile), want: "blocked"},
		{name: "server name", table: ca + `server_name = "localhost"`, want: "delivered"},
		{name: "wrong server name", table: ca + `server_name = "splunk.example.com"`, want: "blocked"},
		{name: "not verified", table: "tls_skip_verify = true", want: "delivered"},
		{name: "client certificate", table: ca + client, clientCerts: true, want: "delivered"},
		{name: "client certificate missing", table: ca, clientCerts: true, want: "blocked"},
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, http2=%v", c.name, http2), func(t *testing.T) {
				t.Parallel()
				splunk := &hectest.Splunk{Token: testToken}
				server := tlsServer(t, splunk, set, http2, c.clientCerts)
				out, _ := buildOutput(t, c.table, server.URL)
				defer closeOutput(t, out)
				err := send(t, out, outputtest.Records(t, 1, 3))
				if got := kindOf(err); got != c.want {
					t.Fatalf("%s, want %s: %v", got, c.want, err)
				}
				if c.want != "delivered" {
					return
				}
				if proto := splunk.Requests()[0].Proto; (proto == "HTTP/2.0") != http2 {
					t.Errorf("protocol %s", proto)
				}
			})
		}
	}
}

// TestCertificateFilesAreReadAnew: a client certificate that appears later is in use without a reload.
func TestCertificateFilesAreReadAnew(t *testing.T) {
	t.Parallel()
	set, other := testcert.NewSet(t, t.TempDir()), testcert.NewSet(t, t.TempDir())
	server := tlsServer(t, &hectest.Splunk{Token: testToken}, set, false, false)
	out, _ := buildOutput(t, fmt.Sprintf("ca_file = %q", other.CAFile), server.URL)
	defer closeOutput(t, out)
	if err := send(t, out, outputtest.Records(t, 1, 1)); kindOf(err) != "blocked" {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(set.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other.CAFile, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := send(t, out, outputtest.Records(t, 1, 1)); err != nil {
		t.Error(err)
	}
}

// TestPlainAndTLSMixedUp says what is wrong.
func TestPlainAndTLSMixedUp(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(&hectest.Splunk{Token: testToken})
	defer server.Close()
	out, _ := buildOutput(t, "", strings.Replace(server.URL, "http:", "https:", 1))
	defer closeOutput(t, out)
	if err := send(t, out, outputtest.Records(t, 1, 1)); kindOf(err) != "blocked" || !strings.Contains(err.Error(), "HTTP response to HTTPS client") {
		t.Error(err)
	}
}

// TestProxy: an HTTP proxy gets a CONNECT for https:// and the whole request for http://, with its login, and the login
// is nowhere to be seen.
func TestProxy(t *testing.T) {
	t.Parallel()
	set := testcert.NewSet(t, t.TempDir())
	splunk := &hectest.Splunk{Token: testToken}
	encrypted := tlsServer(t, splunk, set, true, false)
	open := httptest.NewServer(splunk)
	defer open.Close()
	var connects, forwarded, logins atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("user:SECRETPW")) {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		logins.Add(1)
		if r.Method != http.MethodConnect {
			forwarded.Add(1)
			r.RequestURI = ""
			r.Header.Del("Proxy-Authorization")
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			defer closeBody(resp)
			w.WriteHeader(resp.StatusCode)
			_, _ = io.Copy(w, resp.Body)
			return
		}
		connects.Add(1)
		tunnel(w, r.Host)
	}))
	defer proxy.Close()
	env, log := outputtest.Env(t, map[string]string{"env:TOKEN": testToken, "env:LOGIN": "user:SECRETPW"})
	for i, url := range []string{encrypted.URL, open.URL} {
		for _, auth := range []string{"", `proxy_auth = "env:LOGIN"`} {
			out, _, err := outputtest.Build(Kind(), env, fmt.Sprintf("token = \"env:TOKEN\"\nurls = [%q]\nca_file = %q\nproxy = %q\n%s", url, set.CAFile, proxy.URL, auth))
			if err != nil {
				t.Fatal(err)
			}
			err = send(t, out.(*Output), outputtest.Records(t, uint64(i)+1, 1))
			if (err == nil) != (auth != "") {
				t.Errorf("%s with %q: %v", url, auth, err)
			}
			if strings.Contains(fmt.Sprint(err)+log.String(), "SECRETPW") {
				t.Error("the proxy's password is in an error or the log")
			}
			closeOutput(t, out.(*Output))
		}
	}
	if connects.Load() != 1 || forwarded.Load() != 1 {
		t.Errorf("%d CONNECT, %d forwarded", connects.Load(), forwarded.Load())
	}
	checkAll(t, splunk.Sequences(), 2, 1)
}

func tunnel(w http.ResponseWriter, address string) {
	target, err := net.Dial("tcp", address)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	w.WriteHeader(http.StatusOK)
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(target, bufio.NewReader(rw))
		_ = target.Close()
	}()
	_, _ = io.Copy(conn, target)
	_ = conn.Close()
}
