package config

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
)

// The bounds of queue.takeover.
const (
	minTakeover = 2 * time.Second
	maxTakeover = time.Minute
)

// onlyWith complains of keys that say nothing without another one, unless they say what holds anyway.
func (l *loader) onlyWith(at keyPath, with string, keys ...string) {
	defaults := map[string]any{"schema": "linuxguard_bridge", "replicated_by": "standby", "takeover": "5s", "pooler": false}
	table, _ := l.tree["queue"].(map[string]any)
	for _, key := range keys {
		if l.isSet(at.key(key)) && table[key] != defaults[key] {
			l.errorf(at.key(key), "remove it, or set "+with, "is for a queue with %s", with)
		}
	}
}

// checkSharedQueue reads the part of [queue] that is for kind = "postgres".
func (l *loader) checkSharedQueue(at keyPath, q queueTable) {
	l.onlyWith(at, "kind = \"local\"", "directory")
	s := &SharedQueue{URL: q.URL, ClientCert: q.ClientCert, ClientKey: q.ClientKey, CAFile: q.CAFile, Schema: q.Schema, ReplicatedBy: q.ReplicatedBy,
		BridgeName: q.BridgeName, Takeover: q.Takeover, Pooler: q.Pooler}
	l.cfg.Queue.Shared = s
	l.oneOf(at.key("replicated_by"), q.ReplicatedBy, "standby", "storage", "nothing")
	within(l, at.key("takeover"), q.Takeover, minTakeover, maxTakeover, formatDuration)
	l.checkDatabaseURL(at.key("url"), q)
	if q.Schema == "" || strings.ContainsAny(q.Schema, "\"\x00") || len(q.Schema) > 63 {
		l.errorf(at.key("schema"), "", "must be the name of a schema, of 1 to 63 bytes without quotes")
	}
	if q.BridgeName != "" && !isHostName(q.BridgeName) {
		l.errorf(at.key("bridge_name"), "", "must be a name as a host has it, not %q", q.BridgeName)
	}
	if q.Password != "" {
		s.Password, _ = l.secret(at.key("password"), q.Password)
	}
	if q.ClientCert != "" || q.ClientKey != "" {
		l.checkKeyPair(at.key("client_cert"), at.key("client_key"), q.ClientCert, q.ClientKey)
	}
	if q.CAFile != "" {
		l.checkCAFile(at.key("ca_file"), q.CAFile)
	}
	l.checkSharedParts(at)
}

// checkDatabaseURL looks at libpq's URL, which must hold no password and name TLS no weaker than it is by default.
func (l *loader) checkDatabaseURL(at keyPath, q queueTable) {
	const example = `for instance "postgres://bridge@db1,db2/linuxguard_bridge?target_session_attrs=read-write"`
	if q.URL == "" {
		l.errorf(at, example, "is missing: kind = \"postgres\" needs it")
		return
	}
	scheme, _, _ := strings.Cut(q.URL, "://")
	if scheme != "postgres" && scheme != "postgresql" {
		l.errorf(at, example, "must begin with postgres://")
		return
	}
	u, err := url.Parse(withoutPorts(q.URL))
	if err != nil { // its text can hold a password
		l.errorf(at, example, "is not a valid URL")
		return
	}
	query := u.Query()
	_, typed := u.User.Password()
	if typed || query.Has("password") {
		l.errorf(at, "take the password out of it and set queue.password, for instance \"credential:queue-password\"", "must not hold a password")
	}
	if mode := query.Get("sslmode"); mode != "" && mode != "verify-full" && !l.cfg.Queue.Shared.Local() {
		l.errorf(at, "leave sslmode out: verify-full is the default", "sslmode=%s lets others read and change what the bridges say; it must be verify-full", display.Line(mode))
	}
	if hosts := strings.Split(u.Host, ","); len(hosts) > 1 && query.Get("target_session_attrs") == "" {
		l.warnf(at, "add ?target_session_attrs=read-write", "names several servers, of which a standby could be the first that answers")
	}
	if u.User.Username() == "" && query.Get("user") == "" {
		l.warnf(at, "postgres://ROLE@...", "names no role, so it is that of the system's user")
	}
}

// withoutPorts takes the ports out of a list of hosts: url.Parse knows one only.
func withoutPorts(text string) string {
	head, rest, _ := strings.Cut(text, "://")
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	user, hosts, found := strings.Cut(authority, "@")
	if !found {
		user, hosts = "", authority
	} else {
		user += "@"
	}
	names := strings.Split(hosts, ",")
	for i, name := range names {
		if host, _, err := net.SplitHostPort(name); err == nil && !strings.Contains(host, ":") {
			names[i] = host
		}
	}
	return head + "://" + user + strings.Join(names, ",") + tail
}

// Local reports whether every server is on this host: behind a Unix socket or at a loopback address.
func (s *SharedQueue) Local() bool {
	u, err := url.Parse(withoutPorts(s.URL))
	if err != nil {
		return false
	}
	hosts := u.Host
	if host := u.Query().Get("host"); host != "" {
		hosts = host
	}
	for _, host := range strings.Split(hosts, ",") {
		addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if local := host == "" || host == "localhost" || strings.HasPrefix(host, "/") || err == nil && addr.IsLoopback(); !local {
			return false
		}
	}
	return true
}

// checkSharedParts looks at what goes otherwise with two bridges.
func (l *loader) checkSharedParts(at keyPath) {
	if l.cfg.Server.ACME != nil && l.file.Server.StateDirectory == "" {
		l.errorf(path("server", "acme"), "set server.state_directory", "needs a folder for its certificates, as the queue has no directory with queue.kind = \"postgres\"")
	}
	if l.file.Queue.ReplicatedBy == "nothing" {
		l.warnf(at.key("replicated_by"), "give it a synchronous standby", "what is acknowledged is on one database server only, and lost with its disk")
	}
	for name, value := range l.outputTables() {
		if kind, _ := value["type"].(string); kind == "file" {
			l.warnf(path("output", name), "", "writes on whichever bridge owns the output, so that its file is in pieces on several hosts")
		}
	}
}

// outputTables are the outputs' tables as they are written.
func (l *loader) outputTables() map[string]map[string]any {
	named, _ := l.tree["output"].(map[string]any)
	tables := map[string]map[string]any{}
	for name, value := range named {
		if table, ok := value.(map[string]any); ok {
			tables[name] = table
		}
	}
	return tables
}
