package splunkhec

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
	"github.com/linuxguard/linuxguard-bridge/outputs/splunkhec/hectest"
)

// answerCases is every documented code with its documented HTTP status, and what else may come: what a batch of two
// events then gets.
func answerCases() []struct {
	status, code int
	body         string // instead of code
	want         string
} {
	return []struct {
		status, code int
		body         string
		want         string
	}{
		{200, 0, "", "delivered"},
		{403, 1, "", "blocked"},
		{401, 2, "", "blocked"},
		{401, 3, "", "blocked"},
		{403, 4, "", "blocked"},
		{400, 5, "", "blocked"},
		{400, 6, "", "blocked"},
		{400, 7, "", "blocked"},
		{500, 8, "", "retry"},
		{503, 9, "", "retry"},
		{400, 10, "", "blocked"},
		{400, 11, "", "blocked"},
		{400, 12, "", "blocked"},
		{400, 13, "", "blocked"},
		{400, 14, "", "blocked"},
		{400, 15, "", "blocked"},
		{400, 16, "", "blocked"},
		{200, 17, "", "blocked"},
		{503, 18, "", "retry"},
		{503, 19, "", "retry"},
		{503, 20, "", "retry"},
		{400, 21, "", "blocked"},
		{400, 22, "", "blocked"},
		{503, 23, "", "retry"},
		{200, 24, "", "delivered"},
		{200, 25, "", "delivered"},
		{429, 26, "", "retry"},
		{429, 27, "", "retry"},
		{400, 28, "", "blocked"},
		{200, 77, "", "delivered"},
		{400, 77, "", "blocked"},
		{409, 77, "", "blocked"},
		{200, 9, "", "retry"},
		{404, 404, "", "blocked"},
		{405, 405, "", "blocked"},
		{415, 415, "", "blocked"},
		{407, 0, "<html>", "blocked"},
		{408, 0, "timed out", "retry"},
		{413, 413, "", "refused 0 1"},
		{413, 0, "<html>", "refused 0 1"},
		{425, 0, "", "retry"},
		{429, 0, "slow down", "retry"},
		{500, 0, "", "retry"},
		{502, 0, "<html>", "retry"},
		{504, 0, "<html>", "retry"},
		{302, 0, "<html>", "blocked"},
		{200, 0, "<html><body>Please log in</body></html>", "blocked"},
		{200, 0, " ", "retry"},
		{200, 0, `{"text":"Succ`, "retry"},
		{200, 0, `{"text":"Success"}`, "retry"},
		{200, 0, `{"code":"0"}`, "retry"},
		{200, 0, `[{"code":0}]`, "retry"},
		{400, 0, `"Failed to unmarshal message body"`, "blocked"},
		{400, 0, " ", "blocked"},
		{400, 0, "<html>Bad Request</html>", "blocked"},
		{400, 0, `{"text":"Success","code":0}`, "blocked"},
	}
}

func TestEveryAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range answerCases() {
		t.Run(fmt.Sprintf("%d code %d %.20s", c.status, c.code, c.body), func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *world) {
				w.add("splunk:8088", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
					if c.body != "" {
						rw.WriteHeader(c.status)
						_, _ = rw.Write([]byte(c.body))
						return
					}
					hectest.Answer(rw, c.status, c.code, "some text")
				}))
				out, _ := w.output("gzip = false", "http://splunk:8088")
				err := send(t, out, outputtest.Records(t, 1, 2)) // all that is refused is the collector's fault
				if got := kindOf(err); got != c.want {
					t.Errorf("%s, want %s: %v", got, c.want, err)
				}
				if err != nil && (!strings.Contains(err.Error(), "http://splunk:8088") && !strings.HasPrefix(c.want, "refused") || strings.Contains(err.Error(), "\n")) {
					t.Errorf("the error doesn't say where, on one line: %v", err)
				}
			})
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, " 30 ": 30 * time.Second, "-1": 0, "1.5": 0, "soon": 0, "99999999999999999999": 0,
		"86400":                         retryAfterCap,
		"Mon, 02 Mar 2026 12:01:30 GMT": 90 * time.Second,
		"Mon, 02 Mar 2026 11:00:00 GMT": 0,
		"Tue, 03 Mar 2026 12:00:00 GMT": retryAfterCap,
	} {
		if got := retryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestAnswerNamesItsEvent(t *testing.T) {
	t.Parallel()
	a := parseAnswer(400, nil, []byte(`{"text":"Invalid data format","code":6,"invalid-event-number":12,"ackId":3}`), plain, time.Now())
	if a.event != 12 || a.code != 6 || !a.hasAckID || a.ackID != 3 || a.verdict() != rejectedEvent {
		t.Errorf("%+v", a)
	}
	if got, want := a.String(), `HTTP 400, code 6 "Invalid data format" at event 12`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func plain(s string) string { return s }

func FuzzParseAnswer(f *testing.F) {
	for _, c := range answerCases() {
		f.Add(c.status, []byte(c.body), "")
	}
	f.Add(400, []byte(`{"text":"\u0000\n\ud800 `+testToken+`","code":6,"invalid-event-number":-5,"ackId":18446744073709551615}`), "7")
	f.Add(200, []byte(`{"acks":{"0":true,"1":false,"x":true}}`), "Mon, 02 Mar 2026 12:01:30 GMT")
	hide := func(s string) string { return strings.ReplaceAll(s, testToken, "[redacted]") }
	f.Fuzz(func(t *testing.T, status int, body []byte, after string) {
		a := parseAnswer(status, http.Header{"Retry-After": {after}}, body, hide, time.Unix(1772000000, 0))
		text := a.err().Error()
		if v := a.verdict(); v < accepted || v > tooLarge {
			t.Errorf("no verdict on %+v", a)
		}
		if (a.verdict() == accepted || a.verdict() == slowDown) && (!a.isHEC || status < 200 || status > 299) {
			t.Errorf("taken for a success: %+v", a)
		}
		if a.code < noCode || a.event < noEvent || a.retryAfter < 0 || a.retryAfter > retryAfterCap || len(a.text) > maxText+10 {
			t.Errorf("out of bounds: %+v", a)
		}
		if !utf8.ValidString(text) || strings.ContainsAny(text, "\n\r\x00\x1b") || strings.Contains(a.text, testToken) {
			t.Errorf("not fit for a log: %q", text)
		}
		if acks, ok := parseAcks(body); ok && acks == nil {
			t.Error("acknowledgements without a table")
		}
	})
}
