package webhook

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
)

const (
	testSecret = "a webhook secret of 32 characters"
	testPath   = "/webhooks/linuxguard"
)

// recorder is a queue.Appender in memory: it dedupes by the body's digest and keeps everything.
type recorder struct {
	mu     sync.Mutex
	events []*queue.Event
	holds  []string
	seen   map[digest]uint64
	err    error
	before func(ctx context.Context) error // called outside the lock
}

func (q *recorder) Append(ctx context.Context, e *queue.Event, hold string) (queue.Receipt, error) {
	if q.before != nil {
		if err := q.before(ctx); err != nil {
			return queue.Receipt{}, err
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return queue.Receipt{}, q.err
	}
	if q.seen == nil {
		q.seen = map[digest]uint64{}
	}
	sum := sha256.Sum256(e.Body)
	if seq, known := q.seen[sum]; known {
		return queue.Receipt{Verdict: queue.Duplicate, Seq: seq, Reason: q.holds[seq-1]}, nil
	}
	q.events, q.holds = append(q.events, e), append(q.holds, hold)
	q.seen[sum] = uint64(len(q.events))
	if hold != "" {
		return queue.Receipt{Verdict: queue.Quarantined, Reason: hold}, nil
	}
	return queue.Receipt{Verdict: queue.Accepted, Seq: uint64(len(q.events))}, nil
}

// Generation implements queue.Appender. 0: what was answered is never taken for known.
func (q *recorder) Generation() uint64 { return 0 }

func (q *recorder) taken() []*queue.Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]*queue.Event(nil), q.events...)
}

func (q *recorder) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.err = err
}

// logBuffer is a slog target that tests read.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// fakeClock is a time that only the test moves.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func newFakeClock() *fakeClock {
	return &fakeClock{now: time.Date(2026, 3, 2, 14, 32, 5, 0, time.UTC)}
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func testEndpoint() Endpoint {
	return Endpoint{Name: "linuxguard", Path: testPath, Secrets: []Secret{{"webhook-secret", secret.NewValue(testSecret)}}}
}

// payload is a well-formed body, sent at sent, with its own signal_id.
func payload(id string, sent time.Time) []byte {
	return fmt.Appendf(nil, `{"event_type":"signal_created","version":"v1","timestamp":%q,"tenant_id":"tn_7f3a",`+
		`"data":{"signal_id":%q,"signal_type":"sudo_command_executed","severity":4,"description":"Sudo command executed",`+
		`"server_id":"srv_01","server_name":"web-01","created_at":%q}}`,
		sent.UTC().Format(time.RFC3339), id, sent.UTC().Format(time.RFC3339))
}

func sign(key string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// delivery is a request as LinuxGuard makes it.
func delivery(t testing.TB, url string, body []byte) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("LinuxGuard-Signature", sign(testSecret, body))
	r.Header.Set("LinuxGuard-Event", "signal_created")
	r.Header.Set("LinuxGuard-Delivery", "0b5c8a52-7d6f-4f4e-9c3e-0f9d6a1b2c3d")
	r.Header.Set("User-Agent", "LinuxGuard-Webhook/1.0")
	return r
}

// authority is a throw-away certificate authority.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key = a.sign(t, template, template, nil)
	return a
}

func (a *authority) sign(t testing.TB, template, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if by == nil {
		by = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// issue returns a certificate for 127.0.0.1 and localhost that ends at notAfter, as PEM.
func (a *authority) issue(t testing.TB, serial int64, notAfter time.Time) (certPEM, keyPEM []byte) {
	t.Helper()
	cert, key := a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "bridge"},
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: notAfter,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, a.key)
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// write writes a certificate and key into dir and returns their paths.
func (a *authority) write(t testing.TB, dir string, serial int64, notAfter time.Time) (cert, key string) {
	t.Helper()
	certPEM, keyPEM := a.issue(t, serial, notAfter)
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeFile(t, cert, certPEM)
	writeFile(t, key, keyPEM)
	return cert, key
}

func writeFile(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// rig is a Server with a Handler in front of a recorder.
type rig struct {
	t       testing.TB
	queue   *recorder
	handler *Handler
	server  *Server
	log     *logBuffer
	ca      *authority
	opts    Options
	srvOpts ServerOptions
	secure  bool
}

// newRig starts a server on loopback. change may alter the options before; with TLS unless it sets Plaintext.
func newRig(t testing.TB, change func(*Options, *ServerOptions)) *rig {
	t.Helper()
	r := &rig{t: t, queue: &recorder{}, log: &logBuffer{}, ca: newAuthority(t)}
	r.opts = Options{Endpoints: []Endpoint{testEndpoint()}, Queue: r.queue, Log: r.log.logger(), FailureBurst: -1}
	r.srvOpts = ServerOptions{Listen: []string{"127.0.0.1:0"}, Log: r.opts.Log, StateDirectory: t.TempDir(), HTTP2: true}
	r.srvOpts.TLSCert, r.srvOpts.TLSKey = r.ca.write(t, t.TempDir(), 2, time.Now().AddDate(0, 6, 0))
	if change != nil {
		change(&r.opts, &r.srvOpts)
	}
	if r.srvOpts.Plaintext || r.srvOpts.ACME != nil {
		r.srvOpts.TLSCert, r.srvOpts.TLSKey = "", ""
	}
	r.secure = !r.srvOpts.Plaintext
	var err error
	if r.handler, err = NewHandler(r.opts); err != nil {
		t.Fatal(err)
	}
	if r.server, err = NewServer(r.srvOpts, r.handler); err != nil {
		t.Fatal(err)
	}
	if err := r.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Logf("the log begins:\n%.3000s", r.log)
		}
	})
	return r
}

func (r *rig) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.server.Shutdown(ctx); err != nil {
		r.t.Errorf("shutdown: %v", err)
	}
}

func (r *rig) addr() string { return r.server.Addrs()[0].String() }

func (r *rig) url() string {
	if r.secure {
		return "https://" + r.addr() + testPath
	}
	return "http://" + r.addr() + testPath
}

// client returns an HTTP client of its own for the rig.
func (r *rig) client(http2 bool, certs ...tls.Certificate) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.ca.pool(), Certificates: certs}, ForceAttemptHTTP2: http2}
	r.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// dial opens a raw connection, over TLS where the rig is secure. A machine so busy that the handshake times out gets a
// few more tries.
func (r *rig) dial(protos ...string) (conn net.Conn, err error) {
	for range 5 {
		if conn, err = r.dialOnce(protos); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

func (r *rig) dialOnce(protos []string) (net.Conn, error) {
	raw, err := net.DialTimeout("tcp", r.addr(), 5*time.Second)
	if err != nil || !r.secure {
		return raw, err
	}
	secure := tls.Client(raw, &tls.Config{RootCAs: r.ca.pool(), ServerName: "127.0.0.1", NextProtos: protos})
	if err := secure.HandshakeContext(r.t.Context()); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return secure, nil
}

// eventually polls until ok, or fails. What must come gets the time that a busy machine takes.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("it never happened: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func mustContain(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%.2000s", part, text)
		}
	}
}

// reload puts opts into effect.
func (r *rig) reload(opts ServerOptions) (needsRestart []string, err error) {
	apply, needsRestart, err := r.server.Prepare(opts)
	if err != nil {
		return nil, err
	}
	apply()
	return needsRestart, nil
}
