package sender

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The signature was computed with `openssl dgst -sha256 -hmac`, not by this code.
func TestSign(t *testing.T) {
	t.Parallel()
	const want = "sha256=f99e40eac0b924454ea979a2adb58350c67f562a8f327027fa62106fb18dbf0b"
	if got := Sign("it's a secret, grüße", []byte(`{"a":1}`)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSampleHasEveryDocumentedField(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 14, 32, 1, 250e6, time.UTC)
	ids := map[string]bool{}
	for severity := MinSeverity; severity <= MaxSeverity; severity++ {
		var body map[string]any
		if err := json.Unmarshal(Sample(severity, now, nil).JSON(), &body); err != nil {
			t.Fatal(err)
		}
		data := body["data"].(map[string]any)
		for _, name := range strings.Fields("signal_id signal_type description server_id server_name identity_id identity_name environment created_at") {
			if text, _ := data[name].(string); text == "" {
				t.Errorf("severity %d: %s is empty", severity, name)
			}
		}
		if data["severity"] != float64(severity) || body["timestamp"] != "2026-03-02T14:32:01Z" || body["version"] != "v1" {
			t.Errorf("severity %d: %v", severity, body)
		}
		id := data["signal_id"].(string)
		if ids[id] || !strings.HasSuffix(body["console_url"].(string), id) {
			t.Errorf("severity %d: ID %s", severity, id)
		}
		ids[id] = true
	}
}

func TestPost(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body []byte
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"status":"refused","reason":"busy"}`)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	signer := Signer{Secret: "s", Now: func() time.Time { return time.Unix(1772461921, 0) }}
	for _, c := range []struct {
		http1 bool
		proto string
	}{{false, "HTTP/2.0"}, {true, "HTTP/1.1"}} {
		client, err := NewClient(server.URL+"/hook", http.Header{"authorization": {"Bearer x"}}, ClientOptions{Roots: roots, HTTP1: c.http1})
		if err != nil {
			t.Fatal(err)
		}
		d := signer.Deliver([]byte(`{"a":1}`))
		answer, err := client.Post(t.Context(), d, Chunked)
		client.Close()
		if err != nil {
			t.Fatal(err)
		}
		if got.Proto != c.proto || got.ContentLength != -1 || string(body) != `{"a":1}` || got.URL.Path != "/hook" {
			t.Errorf("%s: arrived as %s, length %d, %s, %q", c.proto, got.Proto, got.ContentLength, got.URL.Path, body)
		}
		for name, want := range map[string]string{
			SignatureHeader: Sign("s", body), DeliveryHeader: d.ID, EventHeader: "signal_created", TimestampHeader: "1772461921",
			"User-Agent": "LinuxGuard-Webhook/1.0", "Content-Type": "application/json", "Authorization": "Bearer x",
		} {
			if got.Header.Get(name) != want {
				t.Errorf("%s: header %s is %q, want %q", c.proto, name, got.Header.Get(name), want)
			}
		}
		if answer.OK() || answer.String() != "503 Service Unavailable refused (busy)" || answer.Header.Get("Retry-After") != "5" {
			t.Errorf("%s: answer %s", c.proto, answer)
		}
	}
}

func TestForgeKeepsTheForm(t *testing.T) {
	t.Parallel()
	signer := Signer{Secret: "s", Now: time.Now}
	d := signer.Deliver([]byte("{}"))
	forged := d.Forge()
	if forged.Signature == d.Signature || len(forged.Signature) != len(d.Signature) || forged.ID != d.ID {
		t.Errorf("forged %+v of %+v", forged, d)
	}
}
