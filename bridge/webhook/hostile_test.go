package webhook

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestHostileHTTP1 sends each case on a connection of its own, over TLS and in plaintext, and compares the exact
// answers with testdata. Whatever was sent, the queue holds verified bodies alone and the server still serves.
func TestHostileHTTP1(t *testing.T) {
	t.Parallel()
	cases := hostileHTTP1()
	unique := map[string]bool{}
	for _, c := range cases {
		key := fmt.Sprint(c.send, c.half)
		if unique[key] || unique[c.name] {
			t.Fatalf("case %s is not distinct", c.name)
		}
		unique[key], unique[c.name] = true, true
	}
	for _, plaintext := range []bool{false, true} {
		t.Run(fmt.Sprintf("plaintext=%t", plaintext), func(t *testing.T) {
			t.Parallel()
			plain := func(_ *Options, s *ServerOptions) { s.Plaintext = plaintext }
			rig, impatient := hostileRigs(t, plain)
			got := hostileAnswers(len(cases), func(i int) bool { return cases[i].isSlow() }, func(i int) string {
				if cases[i].isSlow() {
					return exchangeRaw(impatient, cases[i])
				}
				return exchangeRaw(rig, cases[i])
			})
			var text strings.Builder
			for i, c := range cases {
				fmt.Fprintf(&text, "%s\n    %s\n", c.name, got[i])
			}
			compareGolden(t, "hostile-http1.txt", text.String())
			rig.mustBeUnharmed()
			impatient.mustBeUnharmed()
		})
	}
}

// hostileAnswers returns what each of n cases was answered. The slow ones go last: the hundreds of handshakes of the
// others would use up the short times of the server that they talk to.
func hostileAnswers(n int, slow func(i int) bool, exchange func(i int) string) []string {
	got := make([]string, n)
	for _, now := range []bool{false, true} {
		inParallel(n, n, func(i int) {
			if slow(i) == now {
				got[i] = exchange(i)
			}
		})
	}
	return got
}

// hostileRigs returns a rig whose times are long enough for a crowded machine, and one that is impatient, for the cases
// that wait for the end of a time.
func hostileRigs(t *testing.T, change func(*Options, *ServerOptions)) (rig, impatient *rig) {
	with := func(header, read, idle time.Duration) func(o *Options, s *ServerOptions) {
		return func(o *Options, s *ServerOptions) {
			change(o, s)
			o.MaxBodyBytes = 64 << 10
			s.HeaderTimeout, s.ReadTimeout, s.IdleTimeout = header, read, idle
		}
	}
	return newRig(t, with(time.Minute, 20*time.Second, 5*time.Second)), newRig(t, with(4*time.Second, 5*time.Second, 4*time.Second))
}

// isSlow reports whether the case waits for the end of a time: net/http waits for a body even after its refusal.
func (c hostileCase) isSlow() bool {
	return strings.HasPrefix(c.name, "slow-") || strings.HasPrefix(c.name, "expect-") || c.name == "chunk-size-huge"
}

// exchangeRaw sends c and returns everything that comes back until the server closes the connection.
func exchangeRaw(rig *rig, c hostileCase) string {
	conn, err := rig.dial()
	if err != nil {
		return err.Error()
	}
	defer conn.Close() //nolint:errcheck // read only
	go func() {
		_, _ = io.WriteString(conn, c.bytes(c.send)) // the server may close before all is sent
		if closer, ok := conn.(interface{ CloseWrite() error }); ok && c.half {
			_ = closer.CloseWrite()
		}
	}()
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Second))
	received, err := io.ReadAll(conn)
	if err != nil && !isReset(err) {
		return "read: " + err.Error()
	}
	return describe(received, strings.HasPrefix(c.send, "HEAD") || c.name == "method-head")
}

func isReset(err error) bool {
	return strings.Contains(err.Error(), "connection reset by peer") || strings.Contains(err.Error(), "close notify")
}

// describe writes answers in a stable form: status, headers without the Date, body.
func describe(received []byte, head bool) string {
	var out []string
	r := bufio.NewReader(bytes.NewReader(received))
	for {
		if _, err := r.Peek(1); err != nil {
			break
		}
		request := &http.Request{Method: http.MethodPost}
		if head {
			request.Method = http.MethodHead
		}
		resp, err := http.ReadResponse(r, request)
		if err != nil {
			rest, _ := io.ReadAll(r)
			out = append(out, fmt.Sprintf("not HTTP: %q", rest))
			break
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			body = append(body, " [cut off]"...)
		}
		var headers []string
		for name, values := range resp.Header {
			if name != "Date" {
				headers = append(headers, name+": "+strings.Join(values, "|"))
			}
		}
		if resp.Close {
			headers = append(headers, "Connection: close")
		}
		slices.Sort(headers)
		out = append(out, fmt.Sprintf("%s %d [%s] %q", resp.Proto, resp.StatusCode, strings.Join(headers, ", "), body))
	}
	if len(out) == 0 {
		return "closed without an answer"
	}
	return strings.Join(out, "\n    ")
}

// inParallel calls f(0) to f(n-1), at most width at a time.
func inParallel(n, width int, f func(i int)) {
	var all sync.WaitGroup
	places := make(chan struct{}, width)
	for i := range n {
		places <- struct{}{}
		all.Go(func() {
			f(i)
			<-places
		})
	}
	all.Wait()
}

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, []byte(got))
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	diffLines(t, string(want), got)
}

// diffLines reports the first lines that differ.
func diffLines(t *testing.T, want, got string) {
	t.Helper()
	wants, gots := strings.Split(want, "\n"), strings.Split(got, "\n")
	name := ""
	for i := range max(len(wants), len(gots)) {
		w, g := "", ""
		if i < len(wants) {
			w = wants[i]
		}
		if i < len(gots) {
			g = gots[i]
		}
		if w == g {
			if !strings.HasPrefix(w, " ") {
				name = w
			}
			continue
		}
		t.Errorf("%s\n got  %s\n want %s", name, g, w)
		return
	}
}

// mustBeUnharmed checks that everything in the queue verifies, by the test's own arithmetic, and that a signed
// delivery is accepted.
func (r *rig) mustBeUnharmed() {
	r.t.Helper()
	for _, e := range r.queue.taken() {
		if !strings.EqualFold(e.Signature, sign(testSecret, e.Body)) {
			r.t.Errorf("an unverified body reached the queue: signature %q, %d bytes", e.Signature, len(e.Body))
		}
	}
	body := payload(fmt.Sprintf("sig_after_%d", time.Now().UnixNano()), time.Now())
	status, answer := send(r.t, r.client(true), delivery(r.t, r.url(), body))
	if status != http.StatusOK || answer != `{"status":"accepted"}`+"\n" {
		r.t.Errorf("afterwards a signed delivery is answered %d %q", status, answer)
	}
	mustNotContain(r.t, r.log.String(), "panic", testSecret)
}

func mustNotContain(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(text, part) {
			t.Errorf("%q is in:\n%s", part, text)
		}
	}
}
