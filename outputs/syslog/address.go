package syslog

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// address is one place to send to.
type address struct {
	scheme string // udp, tcp, tls, relp, relps, unix
	host   string // name or IP, without brackets; "" for unix
	target string // host:port, or the socket's path
}

// String returns the address with its port, as the status and the logs show it.
func (a address) String() string {
	return a.scheme + "://" + a.target
}

func (a address) tls() bool  { return a.scheme == "tls" || a.scheme == "relps" }
func (a address) relp() bool { return a.scheme == "relp" || a.scheme == "relps" }

// level is what "delivered" means over this transport.
func (a address) level() outputs.Level {
	switch a.scheme {
	case "relp", "relps":
		return outputs.AppAcknowledged
	case "tcp", "tls":
		return outputs.KernelAcknowledged
	default:
		return outputs.Written
	}
}

// defaultPorts: RFC 5426 section 3.3, RFC 5425 section 4.1 and librelp's. TCP has none assigned, 514 is the custom
// (RFC 6587 section 3.1). For RELP over TLS there is not even a custom.
var defaultPorts = map[string]string{"udp": "514", "tcp": "514", "tls": "6514", "relp": "20514", "relps": ""}

// shown is how an error calls an address: one with more than names and numbers may hold a password or a token.
func shown(text string) string {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(":/.-_[]", r)
	}
	if strings.ContainsFunc(text, odd) {
		return "this address"
	}
	return strconv.Quote(text)
}

// parseAddress reads SCHEME://HOST[:PORT] or unix:///PATH.
func parseAddress(text string) (address, error) {
	if strings.Contains(text, "@") && !strings.HasPrefix(text, "unix:") {
		return address{}, errors.New("an address holds no @, and so no user and password") // which are not repeated
	}
	u, err := url.Parse(text)
	if err != nil {
		// url.Error repeats the text; keep its cause only.
		var detail *url.Error
		if errors.As(err, &detail) {
			err = detail.Err
		}
		return address{}, fmt.Errorf("%s: %w", shown(text), err)
	}
	if u.Scheme == "unix" {
		return parseUnix(text, u)
	}
	port, known := defaultPorts[u.Scheme]
	switch {
	case !known:
		return address{}, fmt.Errorf("%s: the scheme %q is not known: use udp://, tcp://, tls://, relp://, relps:// or unix://", shown(text), u.Scheme)
	case u.Hostname() == "":
		return address{}, fmt.Errorf("%s names no host", shown(text))
	case u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return address{}, fmt.Errorf("%s: after the port nothing may follow, before the host neither", shown(text))
	}
	if u.Port() != "" {
		port = u.Port()
	}
	if port == "" {
		return address{}, fmt.Errorf("%s needs a port: relps has no customary one", shown(text))
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return address{}, fmt.Errorf("%s: the port %s is out of range: from 1 to 65535", shown(text), port)
	}
	return address{scheme: u.Scheme, host: u.Hostname(), target: net.JoinHostPort(u.Hostname(), port)}, nil
}

func parseUnix(text string, u *url.URL) (address, error) {
	if u.Host != "" || !filepath.IsAbs(u.Path) {
		return address{}, fmt.Errorf("%q: a unix socket is unix:// and its absolute path, such as unix:///dev/log", text)
	}
	if len(u.Path) > 107 { // sun_path, unix(7)
		return address{}, fmt.Errorf("%q: a unix socket's path has at most 107 bytes", text)
	}
	return address{scheme: "unix", target: u.Path}, nil
}
