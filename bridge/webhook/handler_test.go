package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
)

// bench is a Handler alone, with a recorder behind it and a time of its own.
type bench struct {
	*Handler
	t     testing.TB
	queue *recorder
	clock *fakeClock
	logs  *logBuffer
	opts  Options
}

func newBench(t testing.TB, change func(*Options)) *bench {
	t.Helper()
	b := &bench{t: t, queue: &recorder{}, clock: newFakeClock(), logs: &logBuffer{}}
	b.opts = Options{Endpoints: []Endpoint{testEndpoint()}, Queue: b.queue, Log: b.logs.logger(), Now: b.clock.Now}
	if change != nil {
		change(&b.opts)
	}
	var err error
	if b.Handler, err = NewHandler(b.opts); err != nil {
		t.Fatal(err)
	}
	return b
}

// post sends body, signed; change may alter the request.
func (b *bench) post(body []byte, change func(*http.Request)) *httptest.ResponseRecorder {
	b.t.Helper()
	r := delivery(b.t, "https://bridge"+testPath, body)
	r.RemoteAddr = "203.0.113.9:4711"
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}

func (b *bench) mustAnswer(w *httptest.ResponseRecorder, status int, body string) {
	b.t.Helper()
	if w.Code != status || w.Body.String() != body+"\n" {
		b.t.Errorf("answered %d %q, want %d %q", w.Code, w.Body, status, body)
	}
}

func (b *bench) fresh(id string) []byte { return payload(id, b.clock.Now()) }

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func forge(r *http.Request) { r.Header.Set("LinuxGuard-Signature", "sha256="+strings.Repeat("0", 64)) }

// TestOrderOfChecks breaks everything at once and mends it check by check: each answer shows which check came first.
func TestOrderOfChecks(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *Options) {
		o.Allow = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
		o.MaxBodyBytes = 1000
		o.Endpoints[0].RequiredHeaders = map[string][]secret.Value{"x-token": {secret.NewValue("token-1")}}
	})
	body := []byte(strings.Repeat("x", 2000))
	r := delivery(t, "https://bridge/elsewhere", body)
	r.Method, r.RemoteAddr = http.MethodGet, "203.0.113.9:4711"
	r.Header.Set("Content-Type", "text/plain")
	forge(r)
	steps := []struct {
		status int
		mend   func()
	}{
		{404, func() { r.URL.Path = testPath }},
		{405, func() { r.Method = http.MethodPost }},
		{403, func() { r.RemoteAddr = "198.51.100.1:1" }},
		{403, func() { r.Header.Set("X-Token", "token-1") }},
		{415, func() { r.Header.Set("Content-Type", "application/json") }},
		{413, func() { body = []byte("not json") }},
		{401, func() { r.Header.Set("LinuxGuard-Signature", sign(testSecret, body)) }},
		{200, func() {}},
	}
	for i, step := range steps {
		w := httptest.NewRecorder()
		r.ContentLength = int64(len(body))
		r.Body = http.NoBody
		if len(body) > 0 {
			r.Body = readCloser{bytes.NewReader(body)}
		}
		b.ServeHTTP(w, r)
		if w.Code != step.status {
			t.Errorf("step %d: answered %d, want %d", i, w.Code, step.status)
		}
		step.mend()
	}
	if got := b.queue.holds; !reflect.DeepEqual(got, []string{signal.ReasonNotJSON}) {
		t.Errorf("the queue's holds are %q", got)
	}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

func TestHoldReasons(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *Options) { o.Endpoints[0].Tenants = []string{"tn_7f3a", "tn_other"} })
	now := b.clock.Now()
	change := func(old, replacement string) []byte {
		body := bytes.Replace(payload("sig_1", now), []byte(old), []byte(replacement), 1)
		if bytes.Equal(body, payload("sig_1", now)) {
			t.Fatalf("%q is not in the body", old)
		}
		return body
	}
	stamp := now.Format(time.RFC3339)
	for _, c := range []struct {
		name, reason string
		body         []byte
	}{
		{"as it should be", "", payload("sig_0", now)},
		{"just young enough", "", payload("sig_2", now.Add(-DefaultMaxAge))},
		{"just too old", ReasonStale, payload("sig_3", now.Add(-DefaultMaxAge-time.Second))},
		{"just within the skew", "", payload("sig_4", now.Add(DefaultClockSkew))},
		{"just beyond the skew", ReasonFuture, payload("sig_5", now.Add(DefaultClockSkew+time.Second))},
		{"far beyond any time", ReasonFuture, change(`"timestamp":"`+stamp, `"timestamp":"9999-12-31T23:59:59Z`)},
		{"before the epoch", ReasonStale, change(`"timestamp":"`+stamp, `"timestamp":"0001-01-01T00:00:00Z`)},
		{"no timestamp", ReasonNoTimestamp, change(`"timestamp"`, `"when"`)},
		{"timestamp that is none", ReasonOddTimestamp, change(`"timestamp":"`+stamp, `"timestamp":"yesterday`)},
		{"other tenant", ReasonUnexpectedTenant, change("tn_7f3a", "tn_evil")},
		{"second tenant", "", change("tn_7f3a", "tn_other")},
		{"no tenant", ReasonUnexpectedTenant, change("tenant_id", "tenant")},
		{"no signal_id", signal.ReasonNoSignalID, change("signal_id", "id")},
		{"unknown version", signal.ReasonUnknownVersion, change(`"v1"`, `"v2"`)},
		{"unknown event type", signal.ReasonUnknownEventType, change("signal_created", "signal_deleted")},
		{"not JSON", signal.ReasonNotJSON, []byte("{")},
		{"no object", signal.ReasonNotJSON, []byte("[1]")},
		{"empty", signal.ReasonNotJSON, nil},
	} {
		want := `{"status":"accepted"}`
		if c.reason != "" {
			want = fmt.Sprintf(`{"status":"quarantined","reason":%q}`, c.reason)
		}
		w := b.post(c.body, nil)
		if w.Code != 200 || w.Body.String() != want+"\n" {
			t.Errorf("%s: answered %d %q, want %q", c.name, w.Code, w.Body, want)
		}
		events := b.queue.taken()
		if last := events[len(events)-1]; !bytes.Equal(last.Body, c.body) {
			t.Errorf("%s: the queue got %q", c.name, last.Body)
		}
	}
	status := b.EndpointStatus()[0]
	if status.QuarantinedBy[ReasonStale] != 2 || status.Quarantined != 14 || status.Accepted != 4 {
		t.Errorf("status: %+v", status)
	}
}

func TestEventHoldsTheProof(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *Options) { o.KeepHeaders = []string{"x-team", "HOST", "X-Absent"} })
	body := b.fresh("sig_1")
	b.post(body, func(r *http.Request) {
		r.Header.Add("X-Team", "soc")
		r.Header.Add("X-Team", "ops")
		r.Header.Set("X-Other", "not kept")
		r.Host = "hooks.example.com"
	})
	e := b.queue.taken()[0]
	want := &queue.Event{
		ReceivedAt: b.clock.Now(), Endpoint: "linuxguard", DeliveryID: "0b5c8a52-7d6f-4f4e-9c3e-0f9d6a1b2c3d",
		Signature: sign(testSecret, body), SecretName: "webhook-secret", ClientAddr: "203.0.113.9", Body: body,
		Header: []queue.Header{{Name: "X-Team", Value: "soc"}, {Name: "X-Team", Value: "ops"}, {Name: "Host", Value: "hooks.example.com"}, {Name: "X-Absent"}},
		Signal: e.Signal,
	}
	if !reflect.DeepEqual(e, want) {
		t.Errorf("got  %+v\nwant %+v", e, want)
	}
	if e.Signal == nil || e.Signal.SignalID != "sig_1" {
		t.Errorf("the signal is not decoded: %+v", e.Signal)
	}
}

// TestDeliveryIDNeverRefuses: the header is unsigned, and the digest identifies the delivery without it.
func TestDeliveryIDNeverRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	for i, c := range []struct {
		values []string
		want   string
	}{
		{nil, ""},
		{[]string{""}, ""},
		{[]string{"0b5c8a52-7d6f-4f4e-9c3e-0f9d6a1b2c3d"}, "0b5c8a52-7d6f-4f4e-9c3e-0f9d6a1b2c3d"},
		{[]string{"dlv_01H8:x.y"}, "dlv_01H8:x.y"},
		{[]string{"a", "b"}, ""},
		{[]string{"x refused 192.0.2.1: signature (401)"}, ""},
		{[]string{"a\tb"}, ""},
		{[]string{"a b"}, ""},
		{[]string{"ä"}, ""},
		{[]string{strings.Repeat("a", maxDeliveryID)}, strings.Repeat("a", maxDeliveryID)},
		{[]string{strings.Repeat("a", maxDeliveryID+1)}, ""},
	} {
		w := b.post(b.fresh(fmt.Sprint("sig_", i)), func(r *http.Request) { r.Header[deliveryHeader] = c.values })
		b.mustAnswer(w, 200, `{"status":"accepted"}`)
		if got := b.queue.taken()[i].DeliveryID; got != c.want {
			t.Errorf("%q became %q, want %q", c.values, got, c.want)
		}
	}
}

func TestSecretsRotate(t *testing.T) {
	t.Parallel()
	old, fresh := "the old secret, 32 characters xx", "the new secret, 32 characters xx"
	with := func(secrets ...Secret) func(o *Options) {
		return func(o *Options) { o.Endpoints[0].Secrets = secrets }
	}
	oldSecret, newSecret := Secret{"old", secret.NewValue(old)}, Secret{"new", secret.NewValue(fresh)}
	b := newBench(t, with(oldSecret))
	n := 0
	expect := func(key string, status int, name string) {
		t.Helper()
		n++
		body := b.fresh(fmt.Sprint("sig_", n))
		w := b.post(body, header("LinuxGuard-Signature", sign(key, body)))
		if w.Code != status {
			t.Errorf("signed with %q: answered %d, want %d", key, w.Code, status)
		}
		if events := b.queue.taken(); status == 200 && events[len(events)-1].SecretName != name {
			t.Errorf("verified by %q, want %q", events[len(events)-1].SecretName, name)
		}
	}
	reload := func(secrets ...Secret) {
		t.Helper()
		opts := b.opts
		opts.Endpoints = []Endpoint{testEndpoint()}
		with(secrets...)(&opts)
		if err := b.Reload(opts); err != nil {
			t.Fatal(err)
		}
	}
	expect(old, 200, "old")
	expect(fresh, 401, "")
	reload(oldSecret, newSecret)
	expect(old, 200, "old")
	expect(fresh, 200, "new")
	expect(fresh, 200, "new")
	got := b.EndpointStatus()[0].Secrets
	if len(got) != 2 || got[0].Matches != 2 || got[1].Matches != 2 {
		t.Errorf("matches: %+v", got)
	}
	reload(newSecret)
	expect(old, 401, "")
	expect(fresh, 200, "new")
	if got := b.EndpointStatus()[0].Secrets; len(got) != 1 || got[0].Matches != 3 {
		t.Errorf("matches after the rotation: %+v", got)
	}
	mustNotContain(t, b.logs.String(), old, fresh)
}

func TestRequiredHeaders(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *Options) {
		o.Endpoints[0].RequiredHeaders = map[string][]secret.Value{
			"authorization": {secret.NewValue("Bearer one"), secret.NewValue("Bearer two")},
			"X-Team":        {secret.NewValue("soc")},
			"host":          {secret.NewValue("hooks.example.com")},
		}
	})
	good := func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer two")
		r.Header.Set("X-Team", "soc")
		r.Host = "hooks.example.com"
	}
	for i, c := range []struct {
		name   string
		status int
		change func(*http.Request)
	}{
		{"second value", 200, func(*http.Request) {}},
		{"first value", 200, header("Authorization", "Bearer one")},
		{"wrong value", 403, header("Authorization", "Bearer three")},
		{"a prefix", 403, header("Authorization", "Bearer on")},
		{"with more", 403, header("Authorization", "Bearer one ")},
		{"other case of the value", 403, header("X-Team", "SOC")},
		{"empty", 403, header("X-Team", "")},
		{"missing", 403, func(r *http.Request) { r.Header.Del("X-Team") }},
		{"twice", 403, func(r *http.Request) { r.Header.Add("X-Team", "soc") }},
		{"other host", 403, func(r *http.Request) { r.Host = "other.example.com" }},
	} {
		w := b.post(b.fresh(fmt.Sprint("sig_", i)), func(r *http.Request) { good(r); c.change(r) })
		if w.Code != c.status {
			t.Errorf("%s: answered %d, want %d", c.name, w.Code, c.status)
		}
		if w.Code == 403 && w.Body.String() != `{"status":"refused","reason":"forbidden"}`+"\n" {
			t.Errorf("%s: the answer says too much: %q", c.name, w.Body)
		}
	}
	mustNotContain(t, b.logs.String(), "Bearer")
}

func TestQueueErrorsAnswer503(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	for _, c := range []struct {
		err               error
		body, retry, name string
	}{
		{fmt.Errorf("append: %w", queue.ErrFull), `{"status":"refused","reason":"queue full"}`, "30", "full"},
		{fmt.Errorf("append: %w", queue.ErrUnavailable), `{"status":"refused","reason":"unavailable"}`, "10", "unavailable"},
		{errors.New("anything else"), `{"status":"refused","reason":"unavailable"}`, "10", "unavailable"},
	} {
		b.queue.fail(c.err)
		w := b.post(b.fresh("sig_1"), nil)
		b.mustAnswer(w, 503, c.body)
		if got := w.Header().Get("Retry-After"); got != c.retry {
			t.Errorf("Retry-After: %q, want %q", got, c.retry)
		}
		known := b.Refused("0b5c8a52-7d6f-4f4e-9c3e-0f9d6a1b2c3d")
		if last := known[len(known)-1]; last.Reason != c.name || last.Status != 503 {
			t.Errorf("remembered %+v", last)
		}
	}
	b.queue.fail(nil)
	b.mustAnswer(b.post(b.fresh("sig_1"), nil), 200, `{"status":"accepted"}`)
	if n := strings.Count(b.logs.String(), "answered 503"); n != 3 {
		t.Errorf("%d lines for three different errors", n)
	}
	mustContain(t, b.logs.String(), "deliveries are made durable again")
	if status := b.EndpointStatus()[0]; status.Unavailable != 3 || len(status.Refused) != 0 {
		t.Errorf("status: %+v", status)
	}
}

// TestAppendTimeout: a queue that hangs is answered for with 503 within the bound.
func TestAppendTimeout(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *Options) { o.AppendTimeout = 10 * time.Millisecond })
	b.queue.before = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	b.mustAnswer(b.post(b.fresh("sig_1"), nil), 503, `{"status":"refused","reason":"unavailable"}`)
}

func TestClockWarning(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	send := func(n int, offset time.Duration, prefix string) {
		for i := range n {
			b.post(payload(fmt.Sprint(prefix, i), b.clock.Now().Add(offset)), nil)
		}
	}
	warnings := func() int { return strings.Count(b.logs.String(), "check this host's clock") }
	suspect := func() bool { return b.EndpointStatus()[0].ClockSuspect }
	send(clockSuspectAfter-1, -48*time.Hour, "a")
	b.post(b.fresh("fresh"), nil)
	send(clockSuspectAfter-1, -48*time.Hour, "b")
	if warnings() != 0 || suspect() {
		t.Error("warned too early")
	}
	for range 50 { // replays are duplicates: they are no reason to doubt the clock
		b.post(payload("b0", b.clock.Now().Add(-48*time.Hour)), nil)
	}
	if warnings() != 0 || suspect() {
		t.Error("replays raised the warning")
	}
	send(1, -48*time.Hour, "c")
	if warnings() != 1 || !suspect() {
		t.Errorf("%d warnings, suspect %v after %d stale ones in a row", warnings(), suspect(), clockSuspectAfter)
	}
	send(80, -48*time.Hour, "d")
	if warnings() != 1 {
		t.Errorf("%d warnings for one row", warnings())
	}
	send(clockSuspectAfter, 48*time.Hour, "e")
	if warnings() != 2 {
		t.Errorf("%d warnings after the other direction", warnings())
	}
	b.post(b.fresh("fresh again"), nil)
	if suspect() {
		t.Error("still suspect after a fresh one")
	}
	mustContain(t, b.logs.String(), "deliveries are fresh again", "in_a_row=10", "reason=stale", "reason=future")
}

func TestDuplicatesDoNotFeedLastAccepted(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	body, first := b.fresh("sig_1"), b.clock.Now()
	b.post(body, nil)
	b.clock.Advance(time.Hour)
	b.mustAnswer(b.post(body, nil), 200, `{"status":"duplicate"}`)
	status := b.EndpointStatus()[0]
	if !status.LastAccepted.Equal(first) || !status.LastVerified.Equal(first.Add(time.Hour)) {
		t.Errorf("status: %+v", status)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	value := func(s string) []secret.Value { return []secret.Value{secret.NewValue(s)} }
	for _, c := range []struct {
		want   string
		change func(*Options)
	}{
		{`secret "webhook-secret" is empty`, func(o *Options) { o.Endpoints[0].Secrets[0].Value = secret.Value{} }},
		{"it has no secret", func(o *Options) { o.Endpoints[0].Secrets = nil }},
		{`a value of required header "X-A" is empty`, func(o *Options) { o.Endpoints[0].RequiredHeaders = map[string][]secret.Value{"X-A": value("")} }},
		{`required header "X-A" has no accepted value`, func(o *Options) { o.Endpoints[0].RequiredHeaders = map[string][]secret.Value{"X-A": {}} }},
	} {
		opts := Options{Endpoints: []Endpoint{testEndpoint()}, Queue: &recorder{}}
		c.change(&opts)
		_, err := NewHandler(opts)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want an error with %q, got %v", c.want, err)
		}
		if err != nil {
			mustNotContain(t, err.Error(), testSecret)
		}
	}
}

// TestReloadIsAllOrNothing: after a refused reload the old options still hold.
func TestReloadIsAllOrNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	bad := b.opts
	bad.Endpoints = []Endpoint{testEndpoint(), testEndpoint()}
	bad.Endpoints[0].Path, bad.Endpoints[1].Secrets = "/new", nil
	if err := b.Reload(bad); err == nil {
		t.Fatal("a bad configuration was taken")
	}
	b.mustAnswer(b.post(b.fresh("sig_1"), nil), 200, `{"status":"accepted"}`)
	b.mustAnswer(b.post(b.fresh("sig_2"), func(r *http.Request) { r.URL.Path = "/new" }), 404, `{"status":"refused","reason":"not found"}`)
}
