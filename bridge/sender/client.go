package sender

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/pemfile"
)

// maxAnswerBytes bounds what is read of an answer; the bridge's own have some dozens.
const maxAnswerBytes = 64 << 10

// DefaultTimeout is how long one post may take.
const DefaultTimeout = 30 * time.Second

// ClientOptions says how to reach the receiver. The zero value uses the system's roots and HTTP/2 where offered.
type ClientOptions struct {
	CAFile      string         // PEM; instead of the system's roots
	Roots       *x509.CertPool // likewise, takes precedence
	ServerName  string         // expected in the certificate; default: the URL's host
	Insecure    bool           // the certificate is not verified
	HTTP1       bool           // no HTTP/2
	Timeout     time.Duration  // of one post; 0: DefaultTimeout
	Connections int            // kept open; 0: 1
}

// Client posts deliveries to one receiver. Its methods may be called from any goroutine.
type Client struct {
	url    string
	header http.Header
	http   *http.Client
}

// Answer is what the receiver said.
type Answer struct {
	Status  int           // HTTP's
	Outcome string        // accepted, duplicate, quarantined or refused, as the bridge's JSON body says; else empty
	Reason  string        // likewise
	Header  http.Header   // of the answer
	Took    time.Duration // from sending to the answer's last byte
}

// OK reports whether the receiver took responsibility for the delivery.
func (a Answer) OK() bool { return a.Status >= 200 && a.Status < 300 }

// String is the answer in one line.
func (a Answer) String() string {
	text := fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status))
	if a.Outcome != "" {
		text += " " + a.Outcome
	}
	if a.Reason != "" {
		text += " (" + a.Reason + ")"
	}
	return text
}

// NewClient returns a client for url that adds header to each post. It doesn't connect yet.
func NewClient(url string, header http.Header, o ClientOptions) (*Client, error) {
	roots, err := o.roots()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{
			RootCAs: roots, ServerName: o.ServerName, MinVersion: tls.VersionTLS12,
			InsecureSkipVerify: o.Insecure, //nolint:gosec // the operator asked for it by --insecure, for a test signal
		},
		ForceAttemptHTTP2:   !o.HTTP1,
		MaxIdleConnsPerHost: max(o.Connections, 1),
	}
	if o.HTTP1 {
		// A non-nil map without "h2" is how net/http is told not to offer HTTP/2.
		transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	timeout := o.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	return &Client{url: url, header: header, http: &http.Client{
		Transport: transport,
		Timeout:   timeout,
		// A receiver that redirects is not ours; following would send the signed body elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (o ClientOptions) roots() (*x509.CertPool, error) {
	if o.Roots != nil || o.CAFile == "" {
		return o.Roots, nil
	}
	pool, err := pemfile.Pool(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("the CA file: %w", err)
	}
	return pool, nil
}

// Post sends d once. The changes are applied to the request last, for what the wire allows and LinuxGuard doesn't do.
// An error means that no answer came; the receiver may then have the delivery all the same.
func (c *Client) Post(ctx context.Context, d Delivery, changes ...func(*http.Request)) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(d.Body))
	if err != nil {
		return Answer{}, fmt.Errorf("post: %w", err)
	}
	d.SetHeaders(req.Header)
	for name, values := range c.header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	if host := c.header.Get("Host"); host != "" {
		req.Host = host
	}
	for _, change := range changes {
		change(req)
	}
	start := time.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		return Answer{}, fmt.Errorf("post: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return Answer{}, fmt.Errorf("post: read the answer: %w", err)
	}
	answer := Answer{Status: resp.StatusCode, Header: resp.Header, Took: time.Since(start)}
	answer.read(body)
	return answer, nil
}

// read takes outcome and reason from the bridge's JSON; another receiver's answer has none.
func (a *Answer) read(body []byte) {
	var said struct{ Status, Reason string }
	if json.Unmarshal(body, &said) == nil {
		a.Outcome, a.Reason = said.Status, said.Reason
	}
}

// Close drops the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Chunked makes Post send the body in chunks, without Content-Length (HTTP/1.1), or without a length (HTTP/2).
func Chunked(r *http.Request) { r.ContentLength = -1 }
