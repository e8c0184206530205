package webhook

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
)

// wellFormedSignature says by a regular expression what parseSignature says by hand.
var wellFormedSignature = regexp.MustCompile(`\Asha256=([0-9a-fA-F]{64})\z`)

func FuzzSignatureHeader(f *testing.F) {
	good := sign(testSecret, []byte("{}"))
	for _, seed := range []string{good, strings.ToUpper(good), "sha256=" + strings.ToUpper(good[7:]), good[:70], good + "0", "", "sha256=", good + "," + good, "sha256=" + strings.Repeat("\x80", 64)} {
		f.Add(seed, uint8(1))
	}
	f.Add(good, uint8(0))
	f.Add(good, uint8(2))
	f.Fuzz(func(t *testing.T, value string, times uint8) {
		header := http.Header{}
		for range times % 4 {
			header.Add("LinuxGuard-Signature", value)
		}
		var got digest
		ok := parseSignature(header, &got)
		match := wellFormedSignature.FindStringSubmatch(value)
		if want := match != nil && times%4 == 1; ok != want {
			t.Fatalf("%q, %d times: parsed %v, want %v", value, times%4, ok, want)
		}
		want := digest{}
		if ok {
			decoded, err := hex.DecodeString(match[1])
			if err != nil {
				t.Fatal(err)
			}
			copy(want[:], decoded)
		}
		if got != want {
			t.Fatalf("%q became %x, want %x", value, got, want)
		}
	})
}

// FuzzHandler feeds raw requests to the whole handler. Input alone never makes it panic or answer 5xx, every answer is
// one of those documented and valid JSON, and nothing reaches the queue that does not verify by other arithmetic. With
// signed the body gets its right signature, so that what lies behind verification is reached as well.
func FuzzHandler(f *testing.F) {
	for _, c := range hostileHTTP1() {
		f.Add([]byte(c.bytes(c.send)), false)
	}
	for i, body := range []string{"", "{}", "[]", "null", `{"version":"v1"}`, string(payload("sig_1", time.Now())),
		`{"event_type":"signal_created","version":"v1","timestamp":1772461925,"data":{"signal_id":7,"severity":"high"}}`,
		`{"timestamp":{"a":[1,2]},"data":[],"tenant_id":null,"version":"v1","event_type":"signal_created"}`} {
		f.Add([]byte(signedPost(body, fmt.Sprintf("LinuxGuard-Delivery: %d\r\nX-Team: a\r\nX-Token: %s\r\n", i, "token"))), i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, raw []byte, signed bool) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			return // net/http's own answer
		}
		if signed {
			signRequest(r)
		}
		q := &recorder{}
		w := httptest.NewRecorder()
		fuzzHandler(t, q).ServeHTTP(w, r)
		mustBeDocumented(t, w)
		for _, e := range q.events {
			if !strings.EqualFold(e.Signature, sign(testSecret, e.Body)) {
				t.Fatalf("an unverified body reached the queue: %q", e.Signature)
			}
		}
		if stored := len(q.events) > 0; stored != (w.Code == http.StatusOK) {
			t.Fatalf("answered %d with %d events in the queue", w.Code, len(q.events))
		}
	})
}

func fuzzHandler(t *testing.T, q *recorder) *Handler {
	ep := testEndpoint()
	ep.Tenants = []string{"tn_7f3a", ""}
	other := testEndpoint()
	other.Name, other.Path = "other", "/other"
	other.RequiredHeaders = map[string][]secret.Value{"X-Token": {secret.NewValue("token")}}
	h, err := NewHandler(Options{
		Endpoints: []Endpoint{ep, other}, Queue: q, Log: slog.New(slog.DiscardHandler), KeepHeaders: []string{"X-Team"}, MaxBodyBytes: 8 << 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// signRequest reads r's body, as far as that is possible, and signs it.
func signRequest(r *http.Request) {
	var body bytes.Buffer
	_, _ = body.ReadFrom(r.Body)
	r.Body, r.ContentLength = readCloser{bytes.NewReader(body.Bytes())}, int64(body.Len())
	r.Method, r.URL.Path = http.MethodPost, testPath
	r.Header.Set("Content-Type", "application/json")
	r.Header.Del("Content-Encoding")
	r.Header.Set("LinuxGuard-Signature", sign(testSecret, body.Bytes()))
}

func mustBeDocumented(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	switch w.Code {
	case 200, 400, 401, 403, 404, 405, 408, 413, 415, 429:
	default:
		t.Fatalf("answered %d", w.Code)
	}
	var answer struct{ Status, Reason string }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Status == "" {
		t.Fatalf("the answer %q is no JSON: %v", w.Body, err)
	}
	if (answer.Status == "refused") != (w.Code != http.StatusOK) {
		t.Fatalf("answered %d %q", w.Code, w.Body)
	}
}
