package config

import (
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/linuxguard/linuxguard-bridge/bridge/permission"
)

// defaultUsername goes with admin.password.
const defaultUsername = "admin"

// checkAdmin reads [admin].
func (l *loader) checkAdmin() {
	at, a := path("admin"), l.file.Admin
	l.cfg.Admin = Admin{
		Listen: a.Listen, Socket: a.Socket, TLSCert: a.TLSCert, TLSKey: a.TLSKey,
		Username: a.Username, AllowedHosts: a.AllowedHosts,
	}
	if a.Socket == "" {
		l.cfg.Admin.Socket = filepath.Join(l.directory("RUNTIME_DIRECTORY", defaultRuntimeDirectory), "admin.sock")
		l.file.Admin.Socket = l.cfg.Admin.Socket
	}
	if err := checkSocketPath(l.cfg.Admin.Socket); err != nil {
		l.errorf(at.key("socket"), "", "%s", err)
	} else {
		l.listens = append(l.listens, listenUse{at.key("socket"), address{network: "unix", path: l.cfg.Admin.Socket}})
	}
	l.canWrite(at.key("socket"), l.cfg.Admin.Socket, permission.Listen)
	l.checkAdminLogin(at, a)
	if a.TLSCert != "" || a.TLSKey != "" {
		l.checkKeyPair(at.key("tls_cert"), at.key("tls_key"), a.TLSCert, a.TLSKey)
	}
	l.checkAdminListen(at, a)
	l.checkAllowedHosts(at.key("allowed_hosts"), a.AllowedHosts)
}

func (l *loader) checkAdminLogin(at keyPath, a adminTable) {
	switch {
	case a.Password == "" && a.Username != "":
		l.errorf(at.key("username"), "", "needs a password")
	case a.Password != "" && a.Username == "":
		l.cfg.Admin.Username = defaultUsername
		l.file.Admin.Username = defaultUsername
	case strings.Contains(a.Username, ":"):
		l.errorf(at.key("username"), "", "can't hold a colon (RFC 7617 section 2)")
	}
	if a.Password != "" {
		l.cfg.Admin.Password, _ = l.secret(at.key("password"), a.Password)
		if n := len(l.cfg.Admin.Password.Reveal()); n > 0 && n < minSecretBytes {
			l.warnf(at.key("password"), "", "the password has %d bytes: under %d it can be guessed", n, minSecretBytes)
		}
	}
}

// checkAdminListen keeps the status page from strangers: beyond this host it needs TLS and a password.
func (l *loader) checkAdminListen(at keyPath, a adminTable) {
	if a.Listen == "" {
		return
	}
	addr, ok := l.listen(at.key("listen"), a.Listen)
	if !ok {
		return
	}
	switch {
	case addr.network != "tcp":
		l.errorf(at.key("listen"), `for instance "127.0.0.1:9464"`, "must be a TCP address")
	case addr.loopback():
	case a.TLSCert == "" || a.TLSKey == "" || a.Password == "":
		l.errorf(at.key("listen"), "listen on 127.0.0.1, or set tls_cert, tls_key and password", "beyond loopback the admin listener needs TLS and a password")
	}
}

func (l *loader) checkAllowedHosts(at keyPath, hosts []string) {
	for i, host := range hosts {
		if _, err := netip.ParseAddr(host); err != nil && !isHostName(host) {
			l.errorf(at.index(i), "without scheme and port", "%q is not a valid host name", host)
		}
	}
}

const defaultLogFormat = "auto"

func logFormats() []string { return []string{defaultLogFormat, "journal", "text", "json"} }

// checkLog reads [log].
func (l *loader) checkLog() {
	l.cfg.Log = Log(l.file.Log)
	l.oneOf(path("log", "level"), l.file.Log.Level, "debug", "info", "warn", "error")
	l.oneOf(path("log", "format"), l.file.Log.Format, logFormats()...)
}

// oneOf reports a word that is none of those allowed.
func (l *loader) oneOf(at keyPath, word string, allowed ...string) {
	if !slices.Contains(allowed, word) {
		l.errorf(at, didYouMean(word, allowed), "must be one of %s, not %q", strings.Join(allowed, ", "), word)
	}
}
