package splunkhec

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/tlsclient"
)

// postWithFailover sends one request to one collector after the other until one of them has said something about
// the events. A collector that can't be reached, is overloaded or refuses the token only costs the way to the next
// one. With indexer_ack, delivered is called once when an accepted request is acknowledged or given up.
//
// The error is nil for a judgement of the events; else nothing is known about them but that they have to be sent
// again: *outputs.BlockedError when all collectors need an operator, anything else is temporary.
func (o *Output) postWithFailover(ctx context.Context, b *body, delivered func(error)) (answer, error) {
	var tried []*collector
	var worst error
	for {
		e, wait := o.pool.pick(tried)
		if e == nil {
			return answer{}, o.noneTook(o.mostRetryable(worst, tried), wait)
		}
		ans, err := o.post(ctx, e, b, delivered)
		if err == nil {
			o.noteUp(e)
			return ans, nil
		}
		if ctx.Err() != nil {
			return answer{}, context.Cause(ctx)
		}
		if err := o.env.CheckOwner(); err != nil { // net/http doesn't always say why a write failed
			return answer{}, err
		}
		o.noteDown(e, err)
		worst = preferRetryable(worst, err)
		tried = append(tried, e)
	}
}

// noneTook is the error when no collector is left to try.
func (o *Output) noneTook(worst error, wait time.Duration) error {
	switch {
	case worst != nil && (wait == 0 || retryDelay(worst) <= wait):
		return worst
	case worst != nil:
		return &outputs.RetryError{Err: worst, After: wait}
	}
	return &outputs.RetryError{Err: errors.New("every collector has asked for a pause (Retry-After)"), After: wait}
}

// mostRetryable is worst, or the last problem of a collector that was left alone this time: one that is away may come back by
// itself, whether it was tried or rests, so that the others' need of an operator must not block the output.
func (o *Output) mostRetryable(worst error, tried []*collector) error {
	if worst == nil {
		return nil
	}
	for _, problem := range o.pool.untried(tried) {
		worst = preferRetryable(worst, problem)
	}
	return worst
}

// preferRetryable chooses between the failures of two collectors the one after which trying again comes sooner.
func preferRetryable(a, b error) error {
	if a == nil || retryDelay(b) < retryDelay(a) {
		return b
	}
	return a
}

// retryDelay is how long err asks to wait: for ever when it needs an operator.
func retryDelay(err error) time.Duration {
	var blocked *outputs.BlockedError
	var retry *outputs.RetryError
	switch {
	case errors.As(err, &blocked):
		return math.MaxInt64
	case errors.As(err, &retry):
		return retry.After
	default:
		return 0
	}
}

// post sends one request to one collector. The answer is one about the events; all else is an error.
func (o *Output) post(ctx context.Context, e *collector, b *body, delivered func(error)) (answer, error) {
	l := e.enter()
	defer e.exit(l)
	s := l.begin()
	if s.acks == nil {
		return o.postOn(ctx, s, b)
	}
	if err := s.acks.take(ctx); err != nil {
		return answer{}, err
	}
	defer s.acks.release()
	if err := s.acks.verify(ctx); err != nil {
		return answer{}, ackError(err)
	}
	ans, err := o.postOn(ctx, s, b)
	if v := ans.verdict(); err != nil || v != accepted && v != slowDown {
		return ans, err
	}
	if !ans.hasAckID {
		return ans, &outputs.BlockedError{Err: o.collectorError(e, errNoAckID)}
	}
	s.acks.add(ctx, ans.ackID, delivered)
	return ans, nil
}

var errNoAckID = errors.New("the events were accepted without an ackId: turn indexer acknowledgement on in the token, or set indexer_ack = false")

// ackError makes a collector without acknowledgements one that needs an operator.
func ackError(err error) error {
	var disabled *ackDisabledError
	if errors.As(err, &disabled) {
		return &outputs.BlockedError{Err: fmt.Errorf("no indexer acknowledgement, so nothing is sent: %w", err)}
	}
	return err
}

func (o *Output) postOn(ctx context.Context, s *session, b *body) (answer, error) {
	e := s.lane.collector
	if err := o.mayPost(ctx, e); err != nil {
		return answer{from: e.base}, err
	}
	start := o.env.Now()
	ans, _, err := s.do(ctx, http.MethodPost, e.event, b, maxAnswer)
	ans.from = e.base
	o.metrics.request(e, &ans, err, o.env.Now().Sub(start))
	if err != nil {
		return ans, o.connectionError(e, err)
	}
	if ans.code == 27 && s.acks != nil { // the channel is full: the next events get another
		s.lane.abandon(s)
	}
	v := ans.verdict()
	if v == retry && ans.status < 300 {
		e.unexpected.came()
	} else if v == accepted || v == slowDown {
		e.unexpected.ended()
	}
	if v == suspect && !o.acceptedRecently() || ans.status == http.StatusUnsupportedMediaType {
		v = blocked
	}
	switch v {
	case retry:
		return ans, &outputs.RetryError{Err: o.collectorError(e, ans.err()), After: ans.retryAfter}
	case blocked:
		if ans.status == http.StatusUnsupportedMediaType && o.giveUpGzip() {
			return ans, &outputs.RetryError{Err: o.collectorError(e, ans.err())}
		}
		return ans, &outputs.BlockedError{Err: o.collectorError(e, ans.err())}
	default:
		return ans, nil
	}
}

// connectionError is what a failed request means.
func (o *Output) connectionError(e *collector, err error) error {
	operator := needsOperator(err)
	late := isLateAnswer(err)
	err = tlsclient.WithHint(withoutURL(err))
	if late {
		err = fmt.Errorf("%w (no answer within request_timeout, %v: the events may be indexed already and come twice; raise it for a slow collector)",
			err, o.settings.RequestTimeout)
	}
	err = o.collectorError(e, err)
	if operator {
		return &outputs.BlockedError{Err: err}
	}
	return err
}

// isLateAnswer reports whether a request failed by its time-out after it may have been sent: not while connecting.
func isLateAnswer(err error) bool {
	var timeout net.Error
	var op *net.OpError
	return errors.As(err, &timeout) && timeout.Timeout() && (!errors.As(err, &op) || op.Op != "dial") && !strings.Contains(err.Error(), "TLS handshake timeout")
}

// withoutURL drops net/http's method and URL, which say nothing new.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// collectorError says where. No error leaves the output without having passed here: it is where an echoed token, in a
// malformed status line for instance, ends.
func (o *Output) collectorError(e *collector, err error) error {
	if text := err.Error(); strings.Contains(text, o.token.Reveal()) {
		err = errors.New(o.redact(text))
	}
	return fmt.Errorf("%s: %w", e.base, err)
}

func (o *Output) redact(text string) string {
	if o.token.IsZero() {
		return text
	}
	return strings.ReplaceAll(text, o.token.Reveal(), "[redacted]")
}

func (o *Output) noteUp(e *collector) {
	o.down.Store(false)
	if o.pool.succeeded(e) && len(o.pool.collectors) > 1 {
		o.env.Log.Info("the collector works again", "collector", e.base)
	}
}

// noteDown logs only with several collectors: with one the batch fails too, and bridge/forward says so.
func (o *Output) noteDown(e *collector, err error) {
	var retry *outputs.RetryError
	after := time.Duration(0)
	if errors.As(err, &retry) {
		after = retry.After
	}
	o.down.Store(true)
	if o.pool.failed(e, err, after) && len(o.pool.collectors) > 1 {
		o.env.Log.Warn("the collector does not work, the others take its requests", "collector", e.base, "error", err)
	}
}
