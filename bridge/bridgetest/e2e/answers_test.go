package e2e

import (
	"bytes"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

// fileOutput is an [output.archive] of JSON lines at path.
func fileOutput(path string) string {
	return "\n[output.archive]\ntype = \"file\"\npath = " + bridgetest.Quote(path) + "\n"
}

// attempt is one request and its one answer.
type attempt struct {
	name    string
	path    string // default: the endpoint's
	method  string // default: POST
	body    []byte // default: a fresh sample
	change  func(r *http.Request, d sender.Delivery)
	status  int
	outcome string
	reason  string // not compared when empty
	header  [2]string
}

func body(change func(e *sender.Envelope)) []byte {
	e := sender.Sample(3, time.Now(), nil)
	change(&e)
	return e.JSON()
}

func set(name, value string) func(*http.Request, sender.Delivery) {
	return func(r *http.Request, _ sender.Delivery) {
		if value == "" {
			r.Header.Del(name)
			return
		}
		r.Header.Set(name, value)
	}
}

func attempts() []attempt {
	far := time.Now()
	return []attempt{
		{name: "good", status: 200, outcome: "accepted"},
		{name: "charset", change: set("Content-Type", "application/json; charset=utf-8"), status: 200, outcome: "accepted"},
		{name: "no delivery ID", change: set(sender.DeliveryHeader, ""), status: 200, outcome: "accepted"},
		{name: "malformed delivery ID", change: set(sender.DeliveryHeader, "not a UUID"), status: 200, outcome: "accepted"},
		{name: "upper-case signature", change: func(r *http.Request, d sender.Delivery) {
			r.Header.Set(sender.SignatureHeader, "sha256="+strings.ToUpper(strings.TrimPrefix(d.Signature, "sha256=")))
		}, status: 200, outcome: "accepted"},

		{name: "not found", path: "/elsewhere", status: 404, outcome: "refused"},
		{name: "not found goes before method", path: "/elsewhere", method: http.MethodGet, status: 404},
		{name: "method", method: http.MethodGet, status: 405, header: [2]string{"Allow", "POST"}},
		{name: "method goes before headers", method: http.MethodPut, change: set("Authorization", ""), status: 405},
		{name: "required header missing", change: set("Authorization", ""), status: 403, outcome: "refused"},
		{name: "required header wrong", change: set("Authorization", "Bearer other"), status: 403, outcome: "refused"},
		{name: "headers go before content type", change: func(r *http.Request, _ sender.Delivery) {
			r.Header.Set("Authorization", "x")
			r.Header.Set("Content-Type", "text/plain")
		}, status: 403},
		{name: "content type", change: set("Content-Type", "text/plain"), status: 415, outcome: "refused"},
		{name: "no content type", change: set("Content-Type", ""), status: 415},
		{name: "content encoding", change: set("Content-Encoding", "gzip"), status: 415},
		{name: "content type goes before size", body: bytes.Repeat([]byte("a"), 70<<10), change: set("Content-Type", "text/plain"), status: 415},
		{name: "too large", body: bytes.Repeat([]byte("a"), 70<<10), status: 413, outcome: "refused"},
		{name: "too large, of unknown length", body: bytes.Repeat([]byte("a"), 70<<10), change: func(r *http.Request, _ sender.Delivery) { r.ContentLength = -1 }, status: 413},
		{name: "signature missing", change: set(sender.SignatureHeader, ""), status: 401, outcome: "refused", reason: "unauthorized"},
		{name: "signature malformed", change: set(sender.SignatureHeader, "sha256=zz"), status: 401, outcome: "refused", reason: "unauthorized"},
		{name: "signature of another algorithm", change: set(sender.SignatureHeader, "sha1=da39a3ee5e6b4b0d3255bfef95601890afd80709"), status: 401, reason: "unauthorized"},
		{name: "signature wrong", change: func(r *http.Request, d sender.Delivery) { r.Header.Set(sender.SignatureHeader, d.Forge().Signature) },
			status: 401, outcome: "refused", reason: "unauthorized"},
		{name: "signed but not JSON", body: []byte("not json"), status: 200, outcome: "quarantined", reason: "not json"},
		{name: "signed but empty", body: []byte(""), status: 200, outcome: "quarantined", reason: "not json"},
		{name: "signed but an array", body: []byte("[]"), status: 200, outcome: "quarantined", reason: "not json"},
		{name: "no signal_id", body: body(func(e *sender.Envelope) { e.Data.SignalID = "" }), status: 200, outcome: "quarantined", reason: "no signal_id"},
		{name: "unknown version", body: body(func(e *sender.Envelope) { e.Version = "v2" }), status: 200, outcome: "quarantined", reason: "unknown version"},
		{name: "unknown event type", body: body(func(e *sender.Envelope) { e.EventType = "signal_closed" }), status: 200, outcome: "quarantined", reason: "unknown event type"},
		{name: "stale", body: body(func(e *sender.Envelope) { e.Timestamp = far.Add(-25 * time.Hour).Format(time.RFC3339) }), status: 200, outcome: "quarantined", reason: "stale"},
		{name: "from the future", body: body(func(e *sender.Envelope) { e.Timestamp = far.Add(time.Hour).Format(time.RFC3339) }), status: 200, outcome: "quarantined", reason: "future"},
		{name: "no timestamp", body: body(func(e *sender.Envelope) { e.Timestamp = "" }), status: 200, outcome: "quarantined", reason: "no timestamp"},
	}
}

// TestAnswers is the table of answers, over HTTP/1.1 and HTTP/2. Only what is accepted reaches an output, and what is
// quarantined is listed.
func TestAnswers(t *testing.T) {
	t.Parallel()
	archive := filepath.Join(t.TempDir(), "archive.ndjson")
	b := bridgetest.Start(t, bridgetest.Options{
		Server: "max_body_bytes = \"64KiB\"\nhttp2 = true", Endpoint: `required_headers = { Authorization = ["env:LINUXGUARD_TEST_AUTH"] }`,
		Env: []string{"LINUXGUARD_TEST_AUTH=Bearer right"}, Outputs: fileOutput(archive),
	})
	accepted, quarantined := 0, map[string]bool{}
	for _, http1 := range []bool{false, true} {
		base := "https://" + b.Address()
		for _, a := range attempts() {
			client := clientFor(t, b, base+orElse(a.path, bridgetest.EndpointPath), http1)
			payload := a.body
			if payload == nil {
				payload = body(func(*sender.Envelope) {})
			}
			d := b.Signer().Deliver(payload)
			answer, err := client.Post(t.Context(), d, func(r *http.Request) {
				r.Method = orElse(a.method, http.MethodPost)
				r.Header.Set("Authorization", "Bearer right")
				if a.change != nil {
					a.change(r, d)
				}
			})
			client.Close()
			if err != nil {
				t.Errorf("%s (HTTP/1.1: %v): %v", a.name, http1, err)
				continue
			}
			if answer.Status != a.status || a.outcome != "" && answer.Outcome != a.outcome || a.reason != "" && answer.Reason != a.reason {
				t.Errorf("%s (HTTP/1.1: %v): answer %v, want %d %s %s", a.name, http1, answer, a.status, a.outcome, a.reason)
			}
			if a.header[0] != "" && answer.Header.Get(a.header[0]) != a.header[1] {
				t.Errorf("%s: header %s is %q", a.name, a.header[0], answer.Header.Get(a.header[0]))
			}
			switch answer.Outcome {
			case "accepted":
				accepted++
			case "quarantined":
				quarantined[string(payload)] = true // held once, however often it comes
			}
		}
	}
	b.MustPost(clientWith(t, b, "Bearer right"), body(func(*sender.Envelope) {}), "accepted") // the last in the queue
	accepted++
	bridgetest.Eventually(t, arrive, "the archive", func() bool { return len(bridgetest.JSONLines(t, archive)) >= accepted })
	if got := len(bridgetest.JSONLines(t, archive)); got != accepted {
		t.Errorf("%d records in the output, %d were accepted", got, accepted)
	}
	if got := len(b.Quarantine()); got != len(quarantined) {
		t.Errorf("%d items in the quarantine, %d bodies were answered so", got, len(quarantined))
	}
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

func clientFor(t *testing.T, b *bridgetest.Bridge, url string, http1 bool) *sender.Client {
	t.Helper()
	client, err := sender.NewClient(url, nil, sender.ClientOptions{Roots: b.TLS.Authority.Pool(), ServerName: "localhost", HTTP1: http1})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func clientWith(t *testing.T, b *bridgetest.Bridge, authorization string) *sender.Client {
	t.Helper()
	client, err := sender.NewClient(b.URL(), http.Header{"Authorization": {authorization}},
		sender.ClientOptions{Roots: b.TLS.Authority.Pool(), ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// TestDuplicates: the same delivery again, the same body under another delivery ID, both after a restart, and twenty at
// the same moment: one record.
func TestDuplicates(t *testing.T) {
	t.Parallel()
	archive := filepath.Join(t.TempDir(), "archive.ndjson")
	b := bridgetest.Start(t, bridgetest.Options{Outputs: fileOutput(archive)})
	client := b.Client(sender.ClientOptions{})
	first := body(func(*sender.Envelope) {})
	d := b.MustPost(client, first, "accepted")
	b.MustPost(client, first, "duplicate") // under a fresh delivery ID
	repeat(t, client, d, "duplicate")
	b.Stop()
	b.Start()
	client = b.Client(sender.ClientOptions{Connections: 20})
	repeat(t, client, d, "duplicate")
	b.MustPost(client, first, "duplicate")

	second := b.Signer().Deliver(body(func(*sender.Envelope) {}))
	var mu sync.Mutex
	outcomes := map[string]int{}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			answer, err := client.Post(t.Context(), second)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				outcomes[err.Error()]++
				return
			}
			outcomes[answer.Outcome]++
		})
	}
	wg.Wait()
	if outcomes["accepted"] != 1 || outcomes["duplicate"] != 19 {
		t.Errorf("twenty at once: %v", outcomes)
	}
	b.MustPost(client, body(func(*sender.Envelope) {}), "accepted")
	bridgetest.Eventually(t, arrive, "the archive", func() bool { return len(bridgetest.JSONLines(t, archive)) >= 3 })
	if got := len(bridgetest.JSONLines(t, archive)); got != 3 {
		t.Errorf("%d records for three signals", got)
	}
}

func repeat(t *testing.T, client *sender.Client, d sender.Delivery, outcome string) {
	t.Helper()
	answer, err := client.Post(t.Context(), d)
	if err != nil || answer.Status != 200 || answer.Outcome != outcome {
		t.Errorf("answer %v %v, want 200 %s", answer, err, outcome)
	}
}

// TestNothingSecretIsPrinted runs the daemon through acceptance, refusal and quarantine and looks for the secret, the
// header's value and a payload in all that it said.
func TestNothingSecretIsPrinted(t *testing.T) {
	t.Parallel()
	b := bridgetest.Start(t, bridgetest.Options{
		Endpoint: `required_headers = { Authorization = ["env:LINUXGUARD_TEST_AUTH"] }`,
		Env:      []string{"LINUXGUARD_TEST_AUTH=Bearer sesame-open"}, Outputs: fileOutput(filepath.Join(t.TempDir(), "a")),
	})
	client := clientWith(t, b, "Bearer sesame-open")
	payload := body(func(e *sender.Envelope) { e.Data.Description = "payload-marker" })
	b.MustPost(client, payload, "accepted")
	b.MustPost(client, []byte(`payload-marker, signed and not JSON`), "quarantined")
	if _, err := client.Post(t.Context(), b.Signer().Deliver(payload).Forge()); err != nil {
		t.Fatal(err)
	}
	wrong := clientWith(t, b, "Bearer payload-marker-guess")
	if answer, err := wrong.Post(t.Context(), b.Signer().Deliver(payload)); err != nil || answer.Status != 403 {
		t.Fatalf("%v %v", answer, err)
	}
	pages := map[string]string{"log": b.RawLog(), "notifications": strings.Join(b.Notify.Messages(), "\n")}
	for _, path := range []string{"/", "/metrics", "/healthz", "/readyz"} {
		pages[path] = adminPage(t, b, path)
	}
	b.Stop()
	pages["log at the end"] = b.RawLog()
	for name, text := range pages {
		if len(text) == 0 {
			t.Errorf("%s is empty, so this test shows nothing", name)
		}
		for _, secret := range []string{b.Secret, "sesame-open", "payload-marker"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %q", name, secret)
			}
		}
	}
}

// adminPage reads from the admin listener, whose address the log tells.
func adminPage(t *testing.T, b *bridgetest.Bridge, path string) string {
	t.Helper()
	for _, line := range b.Log() {
		address, _ := line["address"].(string)
		if address == "" || address == b.Address() {
			continue
		}
		resp, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %v %s", path, err, resp.Status)
		}
		return string(text)
	}
	t.Fatal("the log doesn't say where the admin listener is")
	return ""
}
