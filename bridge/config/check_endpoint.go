package config

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
)

// Bounds of [endpoint.NAME].
const (
	minSecretBytes = 16 // shorter ones can be guessed from one signed body; warned of
	maxNameBytes   = 64
	maxAgeLimit    = 365 * 24 * time.Hour
	maxSkewLimit   = 24 * time.Hour
	minExpectEvery = time.Second
)

// checkEndpoints reads [endpoint.*].
func (l *loader) checkEndpoints() {
	if len(l.file.Endpoint) == 0 && l.tree["endpoint"] == nil {
		l.errorf(path("endpoint"), "add an [endpoint.NAME] table with path and secrets", "there is no endpoint: nothing could be received")
	}
	for _, name := range sortedKeys(l.file.Endpoint) {
		l.checkEndpoint(path("endpoint", name), name, l.file.Endpoint[name])
	}
	l.checkSharedPaths()
	l.checkSharedSecrets()
}

func (l *loader) checkEndpoint(at keyPath, name string, e endpointTable) {
	l.checkName(at, name)
	l.checkPath(at.key("path"), e.Path)
	within(l, at.key("max_age"), e.MaxAge, time.Second, maxAgeLimit, formatDuration)
	within(l, at.key("clock_skew"), e.ClockSkew, time.Second, maxSkewLimit, formatDuration)
	if e.ExpectEvery != 0 {
		within(l, at.key("expect_every"), time.Duration(e.ExpectEvery), minExpectEvery, maxAgeLimit, formatDuration)
	} else if e.ExpectEvent {
		l.errorf(at.key("expect_event"), `for instance expect_every = "1h"`, "needs expect_every")
	}
	if slices.Contains(e.Tenants, "") {
		l.errorf(at.key("tenants"), "", "a tenant_id can't be empty")
	}
	l.cfg.Endpoints = append(l.cfg.Endpoints, Endpoint{
		Name: name, Path: e.Path,
		Secrets:         l.checkSecrets(at.key("secrets"), e.Secrets),
		RequiredHeaders: l.checkRequiredHeaders(at.key("required_headers"), e.RequiredHeaders),
		Tenants:         e.Tenants,
		MaxAge:          e.MaxAge, ClockSkew: e.ClockSkew,
		ExpectEvery: time.Duration(e.ExpectEvery), ExpectEvent: e.ExpectEvent,
	})
}

// checkName demands of a table's name what logs, metrics and commands can show without quotes.
func (l *loader) checkName(at keyPath, name string) {
	odd := func(r rune) bool { return r >= 'A' && r <= 'Z' || !isBare(r) }
	if name == "" || len(name) > maxNameBytes || strings.ContainsFunc(name, odd) {
		l.errorf(at, "", "a name has 1 to %d of a-z, 0-9, _ and -", maxNameBytes)
	}
}

// checkPath allows only paths that have one spelling, since they are compared byte by byte.
func (l *loader) checkPath(at keyPath, p string) {
	switch {
	case p == "":
		l.errorf(at, `for instance path = "/webhooks/linuxguard"`, "is missing")
	case p[0] != '/':
		l.errorf(at, "", "must begin with a slash, not %q", p)
	case strings.ContainsFunc(p, func(r rune) bool { return !isPathRune(r) }):
		l.errorf(at, "use letters, digits and / - . _ ~", "%q has a character that can be written in several ways or ends the path", p)
	case p != "/" && strings.HasSuffix(p, "/"):
		l.errorf(at, "leave the last slash away", "%q could be confused with the path without the slash at the end", p)
	case strings.Contains(p, "//") || strings.Contains(p+"/", "/./") || strings.Contains(p+"/", "/../"):
		l.errorf(at, "", "%q holds an empty part, . or .., which proxies and clients take out", p)
	}
}

// isPathRune allows the unreserved characters of RFC 3986 section 2.3 and those sub-delimiters and others of a path
// (section 3.3) that nobody escapes.
func isPathRune(r rune) bool {
	return isBare(r) || strings.ContainsRune("/.~:@!$&'()*+,;=", r)
}

// checkSharedPaths reports endpoints that a request could not be told apart for.
func (l *loader) checkSharedPaths() {
	for i, e := range l.cfg.Endpoints {
		for _, earlier := range l.cfg.Endpoints[:i] {
			at := path("endpoint", e.Name, "path")
			switch {
			case e.Path == "":
			case e.Path == earlier.Path:
				l.errorf(at, "every endpoint needs its own", "%q is the path of endpoint %s too", e.Path, earlier.Name)
			case strings.EqualFold(e.Path, earlier.Path):
				l.warnf(at, "", "%q differs from the path of endpoint %s by upper and lower case only", e.Path, earlier.Name)
			}
		}
	}
}

// checkSecrets resolves the signing secrets of one endpoint.
func (l *loader) checkSecrets(at keyPath, refs []secret.Ref) []Secret {
	if len(refs) == 0 {
		l.errorf(at, `for instance secrets = ["credential:webhook-secret"]`, "is missing: without a secret nothing can be verified")
	}
	secrets := l.resolveAll(at, refs)
	for i, s := range secrets {
		if n := len(s.Value.Reveal()); n > 0 && n < minSecretBytes {
			l.warnf(at.index(i), "", "the secret %s has %d bytes: under %d it can be guessed", s.Name, n, minSecretBytes)
		}
		if odd := s.Value.Oddity(); odd != "" {
			l.warnf(at.index(i), "compare it with what LinuxGuard's console showed", "the secret %s %s: unless that belongs to it, every real delivery is refused", s.Name, odd)
		}
	}
	return slices.DeleteFunc(secrets, func(s Secret) bool { return s.Value.IsZero() })
}

// resolveAll resolves a list of references and warns of repetitions in it. What can't be resolved stays as the zero
// value, so that the indexes are the file's.
func (l *loader) resolveAll(at keyPath, refs []secret.Ref) []Secret {
	secrets := make([]Secret, len(refs))
	for i, ref := range refs {
		secrets[i].Name = ref.Name()
		value, ok := l.secret(at.index(i), ref)
		if !ok {
			continue
		}
		secrets[i].Value = value
		for j, earlier := range secrets[:i] {
			if l.repeats(at.index(i), refs[j] == ref, earlier, secrets[i]) {
				break
			}
		}
	}
	return secrets
}

// repeats warns when b repeats the reference, the value or the name of a.
func (l *loader) repeats(at keyPath, sameRef bool, a, b Secret) bool {
	switch {
	case sameRef:
		l.warnf(at, "", "the reference to %s is there twice", b.Name)
	case a.Value == b.Value:
		l.warnf(at, "", "%s holds the same secret as %s before it", b.Name, a.Name)
	case a.Name == b.Name:
		l.warnf(at, "use different names", "two secrets are called %s, and logs and metrics can't tell them apart", b.Name)
	default:
		return false
	}
	return true
}

// checkRequiredHeaders resolves the accepted values of the required headers.
func (l *loader) checkRequiredHeaders(at keyPath, headers map[string][]secret.Ref) map[string][]Secret {
	required := map[string][]Secret{}
	for _, name := range sortedKeys(headers) {
		here, form := at.key(name), http.CanonicalHeaderKey(name)
		if !l.checkHeaderName(here, name) {
			continue
		}
		switch _, twice := required[form]; {
		case twice:
			l.errorf(here, "case makes no difference in a header's name", "is there twice")
		case strings.HasPrefix(form, "Linuxguard-"):
			l.errorf(here, "", "LinuxGuard sets this header itself")
		case len(headers[name]) == 0:
			l.errorf(here, "", "the list of accepted values is empty: every request would be refused")
		}
		required[form] = l.checkHeaderSecrets(here, l.resolveAll(here, headers[name]))
	}
	return required
}

// checkHeaderSecrets leaves out what could not be resolved, and reports what could never arrive as a header.
func (l *loader) checkHeaderSecrets(at keyPath, values []Secret) []Secret {
	for i, v := range values {
		if !v.Value.IsZero() && !isHeaderValue(v.Value.Reveal()) {
			l.errorf(at.index(i), "", "what %s holds can't arrive as a header: it has blanks around it or control characters", v.Name)
		} else if odd := v.Value.Oddity(); odd != "" {
			l.warnf(at.index(i), "", "what %s holds %s", v.Name, odd)
		}
	}
	return slices.DeleteFunc(values, func(s Secret) bool { return s.Value.IsZero() })
}

// checkSharedSecrets refuses endpoints that accept each other's signatures: a body sent to both would count twice.
func (l *loader) checkSharedSecrets() {
	for i, e := range l.cfg.Endpoints {
		for _, earlier := range l.cfg.Endpoints[:i] {
			shared := slices.ContainsFunc(e.Secrets, func(s Secret) bool {
				return slices.ContainsFunc(earlier.Secrets, func(t Secret) bool { return s.Value == t.Value })
			})
			if shared {
				l.errorf(path("endpoint", e.Name, "secrets"), "give every endpoint its own",
					"shares a secret with endpoint %s: what is signed for one would be accepted by the other, as something new", earlier.Name)
			}
		}
	}
}

func formatInt(n int) string { return strconv.Itoa(n) }
