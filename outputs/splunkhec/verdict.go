package splunkhec

import (
	"fmt"
	"net/http"
)

// verdict is what an answer to posted events means for them.
type verdict int

const (
	accepted      verdict = iota + 1 // taken; with indexer_ack only its ackId is worth something
	slowDown                         // taken, and asked to slow down
	retry                            // not now: the same request may work later, or elsewhere
	blocked                          // not until somebody mends something
	rejectedEvent                    // one event is at fault, named or not
	suspect                          // refused by something that is no HEC: a firewall that dislikes one event, or whoever refuses all
	wrongIndex                       // an event's index is not one of the token's
	tooLarge                         // the request is too long
)

// codes are the HEC codes that decide by themselves, for answers of status 2xx and 400. Sources: Splunk's
// "Troubleshoot HTTP Event Collector" (0 to 27); 28 was seen on Splunk Cloud in place of 10.
func codeVerdict(code int) (verdict, bool) {
	switch code {
	case 0: // Success
		return accepted, true
	case 24, 25: // the queue, or the table of acknowledgements, is nearly full
		return slowDown, true
	case 1, 2, 3, 4, 16, 21, 22: // the token is disabled, missing, malformed, invalid
		return blocked, true
	case 5: // No data: nothing of ours is empty, so something on the way drops bodies
		return blocked, true
	case 6, 12, 13, 15: // format, event missing, event blank, indexed fields
		return rejectedEvent, true
	case 7: // Incorrect index
		return wrongIndex, true
	case 10, 11, 14, 28: // the channel is missing or invalid, acknowledgement is disabled
		return blocked, true
	case 17: // the answer of a health check
		return blocked, true
	case 8, 9, 18, 19, 20, 23, 26, 27: // internal error, busy, queues full, shutting down, at capacity
		return retry, true
	default:
		return 0, false
	}
}

// verdict judges the answer to posted events. The status decides where it is clear, the code within 2xx and 400, and
// the text never: it differs between releases.
func (a *answer) verdict() verdict {
	switch {
	case a.status >= 200 && a.status < 300:
		return a.success()
	case a.status >= 500, a.status == http.StatusTooManyRequests, a.status == http.StatusRequestTimeout,
		a.status == http.StatusTooEarly:
		return retry
	case a.status == http.StatusRequestEntityTooLarge:
		return tooLarge
	case a.status == http.StatusBadRequest:
		return a.badRequest()
	case a.status >= 400 && !a.isHEC && !isAboutTransport(a.status):
		return suspect
	default: // a redirect, 401, 404, 405, 407, 415, a HEC code, ...
		return blocked
	}
}

// isAboutTransport reports whether a status is about the request's way, login or form, whatever is in it.
func isAboutTransport(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusProxyAuthRequired, http.StatusUnsupportedMediaType:
		return true
	}
	return false
}

// success believes a 2xx only if HEC itself says so: a login page, a captive portal or half an answer is none.
func (a *answer) success() verdict {
	switch {
	case a.isHEC:
	case a.isHTML:
		return blocked
	case a.lenient && a.code == noCode:
		return accepted
	case !a.lenient:
		return retry
	}
	if v, known := codeVerdict(a.code); known {
		return v
	}
	return accepted // a newer 2xx code: HEC took the events
}

func (a *answer) badRequest() verdict {
	switch v, known := codeVerdict(a.code); {
	case known && v != accepted && v != slowDown:
		return v
	case known:
		return blocked
	case a.isHTML:
		return suspect
	case a.isHEC:
		return blocked // a newer 400 code: most are about the token or the channel
	default:
		return rejectedEvent // no code at all: the events are divided until the one at fault is alone
	}
}

// err is the answer as an error that says what to do.
func (a *answer) err() error {
	if advice := a.advice(); advice != "" {
		return fmt.Errorf("%s: %s", a, advice)
	}
	return fmt.Errorf("%s", a)
}

// advice is what an operator should look at.
func (a *answer) advice() string {
	switch a.code {
	case 1, 22:
		return "the token is disabled: enable it under Settings, Data inputs, HTTP Event Collector"
	case 2, 3, 4, 21:
		return "the token is not one of this Splunk's: check the token"
	case 5:
		return "Splunk saw an empty body: something between drops it"
	case 7:
		return "the index is not among the token's allowed indexes, or does not exist: check index and index_rules, or allow it in the token"
	case 10, 28:
		return "the token wants indexer acknowledgement: set indexer_ack = true, or turn it off in the token"
	case 14:
		return "indexer acknowledgement is off in the token: turn it on there, or set indexer_ack = false"
	case 16:
		return "a token in the query string was seen: something between changes the request"
	case 17:
		return "that is the answer of a health check: check the path in urls"
	}
	switch s := a.status; {
	case s >= 300 && s < 400:
		return "redirects are not followed, they would carry the token elsewhere: set the final URL in urls"
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		return "the token is refused: check the token"
	case s == http.StatusNotFound || s == http.StatusMethodNotAllowed:
		return "no HTTP Event Collector there: check urls, and that HEC is enabled"
	case s == http.StatusProxyAuthRequired:
		return "the proxy wants a login: set proxy_auth"
	case s == http.StatusUnsupportedMediaType:
		return "the receiver does not understand gzip: set gzip = false"
	case s < 300 && a.isHTML:
		return "not Splunk's answer: a proxy or login page is in between"
	case s < 300 && !a.isHEC:
		return `not a whole answer of Splunk's: a compatible collector that answers so needs success = "status"`
	}
	return ""
}
