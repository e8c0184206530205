package splunkhec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
)

const (
	// idleTimeout is less than Splunk's own 12 seconds (busyKeepAliveIdleTimeout), so that a request seldom meets a
	// connection that is just being closed.
	idleTimeout = 10 * time.Second
	// pingAfter is when a silent HTTP/2 connection with requests on it is asked whether it is alive.
	pingAfter = 15 * time.Second

	proxyNone = "none"
)

// newHTTPClient makes a client with connections of its own, so that closing one collector's touches no other's.
func (o *Output) newHTTPClient(e *collector, jar http.CookieJar) (*http.Client, error) {
	t := &http.Transport{
		Proxy:                  o.proxy,
		DialContext:            o.dialOwned,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter},
		TLSHandshakeTimeout:    o.settings.ConnectTimeout,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConnsPerHost:    o.settings.MaxRequestsInFlight,
		MaxResponseHeaderBytes: maxAnswer,
		DisableCompression:     true,
	}
	if o.settings.IndexerAck {
		t.MaxConnsPerHost = 1 // a poll must meet the node that took the events
	}
	if e.scheme == "https" {
		config, err := o.settings.Config(e.host, o.env.Now)
		if err != nil {
			return nil, &tlsFilesError{err}
		}
		if o.settings.ServerName == "" {
			config.ServerName = "" // net/http fills it in, for an https:// proxy another one
		}
		t.TLSClientConfig = config
	}
	return &http.Client{
		Transport: t,
		Jar:       jar,
		Timeout:   o.settings.RequestTimeout,
		// A redirect is an answer like any other: following it would carry the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// dialOwned makes connections that write only while this bridge owns the output. That is the last look there can be: between
// a request's begin and its first byte lie the wait for a connection, a handshake and net/http's own retry.
func (o *Output) dialOwned(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := o.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &ownedConn{conn, o.env.CheckOwner}, nil
}

// ownedConn asks for the ownership right before each write.
type ownedConn struct {
	net.Conn
	owner func() error
}

// Write implements net.Conn.
func (c *ownedConn) Write(p []byte) (int, error) {
	if err := c.owner(); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

func (o *Output) dialer() *net.Dialer {
	return &net.Dialer{Timeout: o.settings.ConnectTimeout, KeepAlive: 30 * time.Second}
}

// parseProxy returns the function that http.Transport wants; nil means no proxy.
func parseProxy(text string) (func(*http.Request) (*url.URL, error), error) {
	switch text {
	case "":
		return http.ProxyFromEnvironment, nil
	case proxyNone:
		return nil, nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Hostname() == "", u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5":
		return nil, errors.New(`is "http://host:port", "https://host:port", "socks5://host:port", "none" or empty`)
	case u.User != nil:
		return nil, errors.New("user and password do not belong in the URL: use proxy_auth")
	}
	return http.ProxyURL(u), nil
}

// proxyWithAuth is parseProxy with the login in the proxy's URL, where net/http looks for it.
func proxyWithAuth(text string, auth secret.Value) (func(*http.Request) (*url.URL, error), error) {
	proxy, err := parseProxy(text)
	if err != nil || proxy == nil || auth.IsZero() {
		return proxy, err
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("proxy: is not a valid URL")
	}
	user, password, _ := strings.Cut(auth.Reveal(), ":")
	u.User = url.UserPassword(user, password)
	return http.ProxyURL(u), nil
}

var errLongAnswer = errors.New("the answer is too long")

// readAnswer reads the body to its end, or the connection could not be used again, and closes it.
func readAnswer(resp *http.Response, limit int64) ([]byte, error) {
	defer resp.Body.Close() //nolint:errcheck // read to its end, or of no use
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%w (more than %d bytes)", errLongAnswer, limit)
	}
	return data, nil
}

func closeBody(resp *http.Response) {
	if resp != nil && resp.Body != nil {
		_ = resp.Body.Close()
	}
}
