package webhook

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
)

// verdict is what becomes of a request.
type verdict uint8

// The verdicts, in the order in which a request can meet them.
const (
	notFound         verdict = iota // 404
	methodNotAllowed                // 405
	forbiddenAddress                // 403
	forbiddenHeader                 // 403
	unsupportedMedia                // 415
	tooLarge                        // 413
	bodyTimeout                     // 408
	bodyBroken                      // 400: the body ended early or its chunks can't be read
	busy                            // 503: too many large bodies at once
	badSignature                    // 401
	rateLimited                     // 429
	queueFull                       // 503
	unavailable                     // 503
	accepted                        // 200
	duplicate                       // 200
	quarantined                     // 200
	verdicts                        // how many there are
)

// verdictTable holds what each verdict is called and answers. Both kinds of 403 read alike from outside.
var verdictTable = [verdicts]struct { //nolint:gochecknoglobals // a constant table
	name   string // in metrics, logs and trace
	status int
	said   string // the answer's reason
	header [2]string
}{
	notFound:         {"not_found", http.StatusNotFound, "not found", [2]string{}},
	methodNotAllowed: {"method_not_allowed", http.StatusMethodNotAllowed, "method not allowed", [2]string{"Allow", "POST"}},
	forbiddenAddress: {"address", http.StatusForbidden, "forbidden", [2]string{}},
	forbiddenHeader:  {"required_header", http.StatusForbidden, "forbidden", [2]string{}},
	unsupportedMedia: {"media_type", http.StatusUnsupportedMediaType, "unsupported media type", [2]string{}},
	tooLarge:         {"too_large", http.StatusRequestEntityTooLarge, "too large", [2]string{}},
	bodyTimeout:      {"timeout", http.StatusRequestTimeout, "timeout", [2]string{}},
	bodyBroken:       {"broken_body", http.StatusBadRequest, "broken body", [2]string{}},
	busy:             {"busy", http.StatusServiceUnavailable, "busy", [2]string{"Retry-After", "5"}},
	badSignature:     {"signature", http.StatusUnauthorized, "unauthorized", [2]string{}},
	rateLimited:      {"rate_limited", http.StatusTooManyRequests, "too many failed verifications", [2]string{"Retry-After", "60"}},
	queueFull:        {"full", http.StatusServiceUnavailable, "queue full", [2]string{"Retry-After", "30"}},
	unavailable:      {"unavailable", http.StatusServiceUnavailable, "unavailable", [2]string{"Retry-After", "10"}},
	accepted:         {"accepted", http.StatusOK, "", [2]string{}},
	duplicate:        {"duplicate", http.StatusOK, "", [2]string{}},
	quarantined:      {"quarantined", http.StatusOK, "", [2]string{}},
}

func (v verdict) String() string { return verdictTable[v].name }
func (v verdict) status() int    { return verdictTable[v].status }

// refusal reports whether the verdict is about what the client sent, not about the state of this daemon.
func (v verdict) refusal() bool { return v < accepted && v.status() < http.StatusInternalServerError }

// answer is one response, made once: writing it allocates nothing of ours.
type answer struct {
	status      int
	body        []byte
	contentType []string
	length      []string
	headerName  string // one more header, or ""
	headerValue []string
	hangUp      []string // the Connection header that ends an HTTP/1 connection
	always      bool     // hang up: the rest of the body is not worth reading
	refused     bool
}

func newAnswer(v verdict, reason string) *answer {
	row := &verdictTable[v]
	status := "refused"
	if v >= accepted {
		status = row.name
	}
	body := `{"status":"` + status + `"}` + "\n"
	if reason != "" {
		quoted, err := json.Marshal(reason)
		if err != nil { // never for a string
			quoted = []byte(`""`)
		}
		body = `{"status":"` + status + `","reason":` + string(quoted) + "}\n"
	}
	a := &answer{status: row.status, body: []byte(body), contentType: []string{"application/json"}}
	a.length = []string{strconv.Itoa(len(a.body))}
	if row.header[0] != "" {
		a.headerName, a.headerValue = row.header[0], []string{row.header[1]}
	}
	a.hangUp, a.refused = []string{"close"}, v < accepted
	a.always = v == tooLarge || v == bodyTimeout || v == bodyBroken
	return a
}

// write answers r. An HTTP/1 connection also ends with the refusal of a chunked request: net/http does not tell whether
// it had a Content-Length beside (RFC 9112 section 6.1), and what such a request smuggles must not be read as the next
// one. Under HTTP/2 the connection stays: other streams' deliveries are on it.
func (a *answer) write(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["Content-Type"] = a.contentType
	header["Content-Length"] = a.length
	if a.headerName != "" {
		header[a.headerName] = a.headerValue
	}
	if r.ProtoMajor == 1 && (a.always || a.refused && len(r.TransferEncoding) > 0) {
		header["Connection"] = a.hangUp
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) //nolint:gosec // our own bytes; the client may be gone, and what was made durable stays so
}

// answers holds every response that a Handler gives.
type answers struct {
	plain       [verdicts]*answer
	quarantined map[string]*answer // by reason
}

func newAnswers() *answers {
	a := &answers{quarantined: map[string]*answer{}}
	for v := range verdicts {
		a.plain[v] = newAnswer(v, verdictTable[v].said)
	}
	for _, reason := range quarantineReasons() {
		a.quarantined[reason] = newAnswer(quarantined, reason)
	}
	return a
}

func (a *answers) forQuarantine(reason string) *answer {
	if known, ok := a.quarantined[reason]; ok {
		return known
	}
	return newAnswer(quarantined, reason)
}

// Reasons of this package's own for the quarantine; the others come from signal and queue.
const (
	ReasonStale            = "stale"  // the signed timestamp is older than max_age
	ReasonFuture           = "future" // it is further ahead than clock_skew
	ReasonNoTimestamp      = "no timestamp"
	ReasonOddTimestamp     = "unreadable timestamp"
	ReasonUnexpectedTenant = "unexpected tenant" // tenant_id is not among the endpoint's tenants
)

func quarantineReasons() []string {
	return []string{
		signal.ReasonNotJSON, signal.ReasonNoSignalID, signal.ReasonUnknownVersion, signal.ReasonUnknownEventType,
		ReasonStale, ReasonFuture, ReasonNoTimestamp, ReasonOddTimestamp, ReasonUnexpectedTenant, queue.ReasonEvicted,
	}
}
