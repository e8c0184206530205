package contribtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/testcert"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

// visitor is the address that requests to a proxy come from: the bridge must find it, and not the proxy's.
const visitor = "127.9.9.9"

// CheckProxy starts a bridge without TLS, has start put a proxy in front of it, and posts through that what must pass
// unchanged, what must be refused, and what must not be believed. start gets the bridge's address and returns
// the proxy's address and the certificates that it uses.
func CheckProxy(t *testing.T, start func(bridge string) (address string, certs *testcert.Set)) {
	t.Helper()
	b := bridgetest.Start(t, bridgetest.Options{
		Plaintext: true, Server: `trusted_proxies = ["127.0.0.1/32"]`, Outputs: FileOutput(t.TempDir() + "/signals.ndjson")})
	address, certs := start(b.Address())
	p := proxied{Bridge: b, url: "https://" + address + bridgetest.EndpointPath, client: clientFrom(visitor, certs)}
	p.bodiesPass(t)
	p.refusalsPass(t)
	p.clientIsKnown(t)
	p.slowBodiesHoldNobodyUp(t, address, certs)
}

// slowBodies is how many requests one attacker leaves unfinished.
const slowBodies = 600

// slowBodiesHoldNobodyUp opens many connections from one address, each with the beginning of a body and no end, and posts from another
// meanwhile.
func (p *proxied) slowBodiesHoldNobodyUp(t *testing.T, address string, certs *testcert.Set) {
	t.Helper()
	dialer := &tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.8.8.8")}, Timeout: 10 * time.Second},
		Config: &tls.Config{RootCAs: certs.Authority.Pool(), ServerName: "localhost"}}
	open := 0
	for range slowBodies {
		conn, err := dialer.DialContext(t.Context(), "tcp4", address)
		if err != nil {
			continue // refused: that is a defence, too
		}
		defer conn.Close() //nolint:errcheck // the end
		if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", bridgetest.EndpointPath); err == nil {
			open++
		}
	}
	t.Logf("%d of %d slow requests got through to the proxy", open, slowBodies)
	for i := range 20 {
		if status, text, err := p.tryPost(t, p.url, p.Signer().Deliver(Sample(3, "beside slow bodies")), nil); err != nil || status != http.StatusOK {
			t.Errorf("delivery %d beside %d slow bodies: %d %s %v", i, slowBodies, status, text, err)
		}
	}
}

type proxied struct {
	*bridgetest.Bridge
	url    string
	client *http.Client
}

func clientFrom(address string, certs *testcert.Set) *http.Client {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: 10 * time.Second}
	return &http.Client{Timeout: Arrive, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, target string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp4", target)
		},
		TLSClientConfig:   &tls.Config{RootCAs: certs.Authority.Pool(), ServerName: "localhost"},
		ForceAttemptHTTP2: true,
	}}
}

// post returns the answer's status and body.
func (p *proxied) post(t *testing.T, url string, d sender.Delivery, change func(*http.Request)) (int, string) {
	t.Helper()
	status, text, err := p.tryPost(t, url, d, change)
	if err != nil {
		t.Fatal(err)
	}
	return status, text
}

func (p *proxied) tryPost(t *testing.T, url string, d sender.Delivery, change func(*http.Request)) (int, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(d.Body))
	if err != nil {
		t.Fatal(err)
	}
	d.SetHeaders(req.Header)
	if change != nil {
		change(req)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// bodiesPass posts bodies that a proxy could be tempted to change: the signature is over their very bytes.
func (p *proxied) bodiesPass(t *testing.T) {
	t.Helper()
	spaced := bytes.ReplaceAll(Sample(3, "spaces"), []byte(`","`), []byte("\"\t ,\r\n \""))
	for name, body := range map[string][]byte{
		"plain": Sample(3, "plain"), "line ends and tabs": append(spaced, "\r\n\r\n"...), "no ASCII": Sample(3, "größer \u2028 🔥 <script>&amp;%0a"),
		"large": Sample(3, strings.Repeat("0123456789abcdef", 60000)), // nearly 1 MiB
		"NUL":   append(Sample(3, "NUL"), 0),                          // no JSON: quarantined, when the signature holds
	} {
		status, text := p.post(t, p.url, p.Signer().Deliver(body), nil)
		if want := map[bool]string{true: `"quarantined"`, false: `"accepted"`}[name == "NUL"]; status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s, want %s", name, status, text, want)
		}
	}
	d := p.Signer().Deliver(Sample(3, "chunked"))
	if status, text := p.post(t, p.url, d, func(r *http.Request) { r.ContentLength = -1; r.Body = io.NopCloser(bytes.NewReader(d.Body)) }); status != http.StatusOK {
		t.Errorf("without a length: %d %s", status, text)
	}
}

func (p *proxied) refusalsPass(t *testing.T) {
	t.Helper()
	d := p.Signer().Deliver(Sample(3, "refused"))
	for name, c := range map[string]struct {
		url    string
		d      sender.Delivery
		status int
	}{
		"forged":      {p.url, d.Forge(), http.StatusUnauthorized},
		"other path":  {p.url + "/../admin", d, http.StatusNotFound},
		"longer path": {p.url + "/", d, http.StatusNotFound},
	} {
		if status, text := p.post(t, c.url, c.d, nil); status != c.status {
			t.Errorf("%s: %d %s, want %d", name, status, text, c.status)
		}
	}
	// The refusal of a body can overtake it and be lost with the connection: once in three tries it must get through.
	large := p.Signer().Deliver(bytes.Repeat([]byte(" "), 1<<20+1))
	for try := 1; ; try++ {
		status, text, err := p.tryPost(t, p.url, large, nil)
		if err == nil && status == http.StatusRequestEntityTooLarge {
			return
		}
		if try == 3 {
			t.Errorf("beyond 1 MiB: %d %s, %v", status, text, err)
			return
		}
	}
}

// clientIsKnown forges X-Forwarded-For: the log must name where the request really came from.
func (p *proxied) clientIsKnown(t *testing.T) {
	t.Helper()
	for _, claim := range []string{"", "198.51.100.7", "198.51.100.7, 127.0.0.1"} {
		d := p.Signer().Deliver(Sample(3, "whose?")).Forge()
		p.post(t, p.url, d, func(r *http.Request) {
			if claim != "" {
				r.Header.Set("X-Forwarded-For", claim)
			}
		})
		want := fmt.Sprintf("refused %s: signature (401)", visitor)
		bridgetest.Eventually(t, Arrive, want, func() bool { return p.logged(d.ID) == want })
	}
}

// logged is the message of the line about a delivery.
func (p *proxied) logged(id string) string {
	for _, line := range p.Log() {
		if line["delivery_id"] == id {
			text, _ := line["msg"].(string)
			return text
		}
	}
	return ""
}
