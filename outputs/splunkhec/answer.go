package splunkhec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
)

// answer is what a collector said to one request. Its text comes from outside: it is cut, cleaned and freed of the
// token before anybody sees it.
type answer struct {
	from       string // the collector's base URL
	status     int    // HTTP status
	code       int    // HEC code, noCode when the body has none
	event      int    // invalid-event-number, noEvent when the body has none
	ackID      uint64 // valid if hasAckID
	hasAckID   bool
	isHEC      bool          // the body is a JSON object with a code
	lenient    bool          // success = "status": a 2xx without a code counts
	isHTML     bool          // the body is nothing like JSON: a proxy or a load balancer speaks
	text       string        // of the body, for people
	retryAfter time.Duration // from Retry-After, 0 without
}

const (
	noCode  = -1
	noEvent = -1

	maxText   = 200      // bytes of an answer's text that are shown
	maxAnswer = 64 << 10 // bytes of an answer's body that are read
	maxAcks   = 4 << 20  // of an acknowledgement poll's: some 20 bytes an id
)

// reply is the documented body of an answer. Anything that doesn't fit is no answer of HEC's.
type reply struct {
	Text  string  `json:"text"`
	Code  hecCode `json:"code"`
	AckID *uint64 `json:"ackId"`
	Event *int    `json:"invalid-event-number"`
}

// hecCode is HEC's code: a number, as Splunk writes it, or a number in quotes, as some compatible collectors do.
type hecCode struct {
	n             int
	known, quoted bool
}

// UnmarshalJSON implements json.Unmarshaler. What is no code is none.
func (c *hecCode) UnmarshalJSON(text []byte) error {
	bare := bytes.Trim(text, `"`)
	n, err := strconv.Atoi(string(bare))
	if err == nil && n >= 0 {
		*c = hecCode{n, true, len(bare) < len(text)}
	}
	return nil
}

// parseAnswer reads status, headers and body. It never fails: what it can't read is not HEC's.
// redact takes the token out of what the collector may have echoed.
func parseAnswer(status int, header http.Header, body []byte, redact func(string) string, now time.Time) answer {
	a := answer{status: status, code: noCode, event: noEvent, retryAfter: retryAfter(header, now)}
	body = bytes.TrimSpace(body)
	var r reply
	switch err := json.Unmarshal(body, &r); {
	case err == nil && len(body) > 0 && body[0] == '{':
		a.fill(r)
		a.text = display.Excerpt(redact(r.Text), maxText)
	case json.Valid(body) && len(body) > 0: // OpenTelemetry's receiver answers some mistakes with a bare string
		a.text = display.Excerpt(redact(strings.Trim(string(body), `"`)), maxText)
	case len(body) > 0:
		a.isHTML = body[0] != '{' // else an answer that broke off
		a.text = display.Excerpt(redact(string(body)), maxText)
	}
	return a
}

func (a *answer) fill(r reply) {
	if r.Code.known {
		a.code, a.isHEC = r.Code.n, !r.Code.quoted || a.status >= 300
	}
	if r.Event != nil && *r.Event >= 0 {
		a.event = *r.Event
	}
	if r.AckID != nil {
		a.ackID, a.hasAckID = *r.AckID, true
	}
}

// String says what the collector answered, in one line.
func (a *answer) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP %d", a.status)
	if a.code != noCode {
		fmt.Fprintf(&b, ", code %d", a.code)
	}
	if a.text != "" {
		fmt.Fprintf(&b, " %q", a.text)
	}
	if a.event != noEvent {
		fmt.Fprintf(&b, " at event %d", a.event)
	}
	return b.String()
}

// retryAfterCap bounds what a Retry-After can ask for, so that a wrong header can't silence an output.
const retryAfterCap = 5 * time.Minute

// retryAfter reads Retry-After: seconds or an HTTP date (RFC 9110 section 10.2.3). HEC doesn't document it; load
// balancers send it. 0 means none.
func retryAfter(header http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if text == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, retryAfterCap)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), retryAfterCap)
	}
	return 0
}

// parseAcks reads the answer to a poll: {"acks":{"0":true,"1":false}}. ok is false when it is none.
func parseAcks(body []byte) (acks map[uint64]bool, ok bool) {
	var r struct {
		Acks map[uint64]bool `json:"acks"`
	}
	if err := json.Unmarshal(body, &r); err != nil || r.Acks == nil {
		return nil, false
	}
	return r.Acks, true
}
