package splunkhec

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// The short retry inside one attempt. It bridges a dropped connection or a restart of a load balancer's worker;
// anything longer is bridge/forward's, from the durable queue. With several URLs the next URL is the better retry.
const (
	shortRetries   = 2
	shortWaitFirst = 100 * time.Millisecond
	shortWaitMost  = time.Second
)

func (o *Output) newClient(httpClient *http.Client) *retryablehttp.Client {
	c := &retryablehttp.Client{
		HTTPClient:   httpClient,
		RetryWaitMin: shortWaitFirst,
		RetryWaitMax: shortWaitMost,
		CheckRetry:   o.retryShortly,
		Backoff:      o.shortBackoff,
		// Without it the last answer is lost when the retries run out, and with it the code that says why.
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	if o.env.Log.Enabled(o.life, slog.LevelDebug) { // each line costs something even if nobody reads it
		c.Logger = debugLogger{o}
	}
	if len(o.settings.URLs) == 1 {
		c.RetryMax = shortRetries
	}
	return c
}

// retryShortly is a retryablehttp.CheckRetry.
func (o *Output) retryShortly(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if !o.isTransient(resp, err) {
		return false, nil
	}
	if err := o.env.CheckOwner(); err != nil {
		return false, err
	}
	return true, nil
}

// isTransient reports whether a failure is worth a short retry: nothing that took a timeout to fail, that no repetition
// fixes, or that asks for a longer pause.
func (o *Output) isTransient(resp *http.Response, err error) bool {
	if err != nil {
		var timeout net.Error
		return !needsOperator(err) && (!errors.As(err, &timeout) || !timeout.Timeout())
	}
	a := answer{status: resp.StatusCode, code: noCode}
	return a.verdict() == retry && resp.StatusCode >= 400 && retryAfter(resp.Header, o.env.Now()) <= shortWaitMost
}

// shortBackoff is a retryablehttp.Backoff: exponential with full jitter, and no less than Retry-After.
func (o *Output) shortBackoff(minimum, maximum time.Duration, attempt int, resp *http.Response) time.Duration {
	d := min(minimum<<min(attempt, 10), maximum)
	d = d/2 + rand.N(d/2+1) //nolint:gosec // jitter
	if resp != nil {
		d = max(d, min(retryAfter(resp.Header, o.env.Now()), maximum))
	}
	return d
}

// needsOperator reports whether a failed connection will go on failing until somebody changes a certificate or a
// setting: ours refuses theirs, theirs refuses ours (a TLS alert), or one side speaks no TLS.
func needsOperator(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		invalid      x509.CertificateInvalidError
		record       tls.RecordHeaderError
		settings     *tlsFilesError
		op           *net.OpError
	)
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &hostname) ||
		errors.As(err, &invalid) || errors.As(err, &record) || errors.As(err, &settings) ||
		errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &op) && op.Op == "remote error"
}

// tlsFilesError says that the TLS settings can't be used at the moment.
type tlsFilesError struct{ err error }

func (e *tlsFilesError) Error() string { return e.err.Error() }
func (e *tlsFilesError) Unwrap() error { return e.err }

// debugLogger is a retryablehttp.LeveledLogger that keeps everything at debug: what matters is logged once, by the
// output or by bridge/forward. net/http quotes what a peer says, which may be the token.
type debugLogger struct{ out *Output }

// Error implements retryablehttp.LeveledLogger.
func (l debugLogger) Error(msg string, kv ...any) { l.Debug(msg, kv...) }

// Info implements retryablehttp.LeveledLogger.
func (l debugLogger) Info(msg string, kv ...any) { l.Debug(msg, kv...) }

// Warn implements retryablehttp.LeveledLogger.
func (l debugLogger) Warn(msg string, kv ...any) { l.Debug(msg, kv...) }

// Debug implements retryablehttp.LeveledLogger.
func (l debugLogger) Debug(msg string, kv ...any) {
	for i := range kv {
		kv[i] = l.out.redact(fmt.Sprint(kv[i]))
	}
	l.out.env.Log.Debug(msg, kv...) //nolint:sloglint // the text is the library's
}
