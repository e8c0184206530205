package config

import (
	"cmp"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/setting"
)

// Bounds of [server].
const (
	minBodyBytes    = 256
	maxBodyBytes    = 64 << 20
	maxConnections  = 1_000_000
	acmeTLSALPNPort = 443 // the port at which TLS-ALPN-01 is asked for (RFC 8737 section 3)
)

// checkServer reads [server].
func (l *loader) checkServer() {
	at, s := path("server"), l.file.Server
	l.cfg.Server = Server{
		Listen: s.Listen, TLSCert: s.TLSCert, TLSKey: s.TLSKey, ClientCAFile: s.ClientCAFile, Plaintext: s.Plaintext,
		TrustedProxies: l.prefixes(at.key("trusted_proxies"), s.TrustedProxies),
		Allow:          l.prefixes(at.key("allow"), s.Allow),
		MaxBodyBytes:   int64(s.MaxBodyBytes), MaxConnections: s.MaxConnections, StateDirectory: s.StateDirectory, HTTP2: s.HTTP2,
	}
	within(l, at.key("max_body_bytes"), s.MaxBodyBytes, minBodyBytes, maxBodyBytes, setting.Size.String)
	within(l, at.key("max_connections"), s.MaxConnections, 1, maxConnections, formatInt)
	addresses := l.checkListen(at.key("listen"), s.Listen)
	l.checkTransport(at, s)
	l.checkACME(at.key("acme"), s.ACME, addresses)
	if s.Plaintext {
		l.checkPlaintext(at, addresses)
	}
	for i, prefix := range l.cfg.Server.TrustedProxies {
		if prefix.Bits() == 0 {
			l.warnf(at.key("trusted_proxies").index(i), "name the proxies", "everybody is trusted to say where a request comes from")
		}
	}
}

// checkListen reads the addresses of [server].
func (l *loader) checkListen(at keyPath, texts []string) []listenUse {
	if len(texts) == 0 {
		l.errorf(at, `for instance listen = ["0.0.0.0:8443"]`, "there is no address to listen on")
	}
	var addresses []listenUse
	for i, text := range texts {
		if addr, ok := l.listen(at.index(i), text); ok {
			addresses = append(addresses, listenUse{at.index(i), addr})
		}
	}
	activated := slices.Contains(texts, systemdSockets)
	if activated && len(texts) > 1 {
		l.errorf(at, "list the other addresses in the socket unit", `"systemd" can't be mixed with other addresses`)
	}
	switch unit := l.opts.SocketUnit; {
	case activated && unit != "" && unit != "active":
		l.errorf(at, "systemctl enable --now linuxguard-bridge.socket", `is ["systemd"], and the socket unit is %s: the service would be handed no socket`, unit)
	case !activated && unit == "active":
		l.warnf(at, `systemctl disable --now linuxguard-bridge.socket, or listen = ["systemd"]`,
			"the socket unit is active and holds its port, but the bridge doesn't listen there: connections to it hang")
	}
	return addresses
}

// checkTransport demands exactly one way to TLS, or none on purpose.
func (l *loader) checkTransport(at keyPath, s serverTable) {
	hasFiles := s.TLSCert != "" || s.TLSKey != ""
	ways := 0
	for _, used := range []bool{hasFiles, s.ACME != nil, s.Plaintext} {
		if used {
			ways++
		}
	}
	switch {
	case ways == 0:
		l.errorf(at, "set tls_cert and tls_key, or [server.acme], or plaintext = true behind a proxy", "there is no certificate")
	case ways > 1:
		l.errorf(at, "keep one", "tls_cert with tls_key, [server.acme] and plaintext exclude each other")
	}
	if hasFiles {
		if pair, ok := l.checkKeyPair(at.key("tls_cert"), at.key("tls_key"), s.TLSCert, s.TLSKey); ok {
			l.checkServerCertificate(at.key("tls_cert"), pair)
		}
	}
	if s.ClientCAFile == "" {
		return
	}
	if s.Plaintext {
		l.errorf(at.key("client_ca_file"), "", "client certificates need TLS, which plaintext turns off")
	}
	l.checkCAFile(at.key("client_ca_file"), s.ClientCAFile)
}

// checkPlaintext allows it where nobody else can listen in, and behind named proxies.
func (l *loader) checkPlaintext(at keyPath, addresses []listenUse) {
	trusted := slices.ContainsFunc(l.cfg.Server.TrustedProxies, func(p netip.Prefix) bool { return p.Bits() > 0 })
	for _, a := range addresses {
		switch {
		case trusted || a.addr.loopback():
		case a.addr.network == systemdSockets:
			l.warnf(at.key("plaintext"), "", "plaintext is for loopback and unix sockets: see that the socket unit listens on nothing else, or set trusted_proxies")
		default:
			l.errorf(a.at, "listen on 127.0.0.1, or name the TLS proxy in trusted_proxies",
				"plaintext is allowed on loopback and unix sockets only")
		}
	}
}

// checkACME reads [server.acme].
func (l *loader) checkACME(at keyPath, a *acmeTable, addresses []listenUse) {
	if a == nil {
		return
	}
	l.cfg.Server.ACME = &ACME{
		Domains: a.Domains, Email: a.Email, DirectoryURL: a.DirectoryURL, CAFile: a.CAFile, HTTPListen: a.HTTPListen,
	}
	l.checkDomains(at.key("domains"), a.Domains)
	if a.Email != "" && !isMailAddress(a.Email) {
		l.errorf(at.key("email"), "", "%q is not a valid mail address", a.Email)
	}
	if u, err := url.Parse(a.DirectoryURL); a.DirectoryURL != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil) {
		l.errorf(at.key("directory_url"), "", "must be an https:// URL without user and password")
	}
	if a.CAFile != "" {
		l.checkCAFile(at.key("ca_file"), a.CAFile)
	}
	l.checkChallenges(at, a.HTTPListen, addresses)
}

// checkChallenges looks at which of the two challenges can be answered.
func (l *loader) checkChallenges(at keyPath, httpListen string, addresses []listenUse) {
	if httpListen != "" {
		if addr, ok := l.listen(at.key("http_listen"), httpListen); ok && addr.network != "tcp" {
			l.errorf(at.key("http_listen"), `for instance "0.0.0.0:80"`, "must be a TCP address")
		}
		return
	}
	reachable := slices.ContainsFunc(addresses, func(a listenUse) bool {
		return a.addr.network != "tcp" || a.addr.port == acmeTLSALPNPort
	})
	if !reachable && len(addresses) > 0 {
		l.warnf(at, "listen on port 443, forward port 443 to the bridge, or set http_listen for port 80",
			"the certificate authority asks for the proof (TLS-ALPN-01) at port 443, where the bridge doesn't listen")
	}
}

func (l *loader) checkDomains(at keyPath, domains []string) {
	if len(domains) == 0 {
		l.errorf(at, `for instance domains = ["hooks.example.com"]`, "is missing: for which names?")
	}
	for i, domain := range domains {
		switch {
		case strings.HasPrefix(domain, "*."):
			l.errorf(at.index(i), "", "%q: neither HTTP-01 nor TLS-ALPN-01 can prove a wildcard name", domain)
		case !isHostName(domain):
			l.errorf(at.index(i), "", "%q is not a valid host name", domain)
		case slices.Contains(domains[:i], domain):
			l.warnf(at.index(i), "", "%s is there twice", domain)
		}
	}
}

// isHostName reports whether name is one in the syntax of RFC 1123 section 2.1, and no IP address.
func isHostName(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(r rune) bool { return r == '_' || !isBare(r) }) {
			return false
		}
	}
	return true
}

// isMailAddress is no more than a look for mistakes; the certificate authority judges.
func isMailAddress(text string) bool {
	local, domain, ok := strings.Cut(text, "@")
	return ok && local != "" && !strings.ContainsAny(local, " <>\t\r\n") && isHostName(domain)
}

// within reports a number out of its bounds.
func within[N cmp.Ordered](l *loader, at keyPath, n, lowest, highest N, format func(N) string) {
	if n < lowest || n > highest {
		l.errorf(at, "", "must be from %s to %s, not %s", format(lowest), format(highest), format(n))
	}
}

func formatDuration(d time.Duration) string {
	text := d.String()
	if s, ok := strings.CutSuffix(text, "m0s"); ok {
		text = s + "m"
	}
	if s, ok := strings.CutSuffix(text, "h0m"); ok {
		text = s + "h"
	}
	return text
}
