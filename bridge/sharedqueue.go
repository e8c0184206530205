package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/postgres"
)

// openShared opens the queue that this bridge shares with others.
func (b *Bridge) openShared(ctx context.Context, cfg *config.Config) (queue.Queue, error) {
	s := cfg.Queue.Shared
	connect, err := Database(s)
	if err != nil {
		return nil, err
	}
	q, err := postgres.Open(ctx, postgres.Options{
		Connect: connect, Schema: s.Schema, ReplicatedBy: postgres.Replication(s.ReplicatedBy), Pooler: s.Pooler, Takeover: s.Takeover,
		Bridge: bridgeName(cfg), Host: hostname(), Version: b.opts.Loader.Version, ConfigHash: cfg.Hash,
		Limits: queueLimits(cfg), Capacity: cfg.Dedupe.Capacity, Window: cfg.Dedupe.Window, Log: b.opts.Log, Metrics: b.registry,
	})
	if err != nil {
		return nil, err
	}
	return q, nil
}

// bridgeName is what this bridge is called beside others.
func bridgeName(cfg *config.Config) string {
	if cfg.Queue.Shared != nil {
		return cmp.Or(cfg.Queue.Shared.BridgeName, hostname())
	}
	return hostname()
}

// Database returns how the shared queue's database is reached. Beyond this host that is by TLS with the server's name verified.
func Database(s *config.SharedQueue) (*pgx.ConnConfig, error) {
	text := s.URL
	add := func(name, value string) {
		if value != "" && !strings.Contains(text, name+"=") {
			separator := "?"
			if strings.Contains(text, "?") {
				separator = "&"
			}
			text += separator + name + "=" + url.QueryEscape(value)
		}
	}
	if !s.Local() {
		add("sslmode", "verify-full")
	}
	add("sslrootcert", s.CAFile)
	add("sslcert", s.ClientCert)
	add("sslkey", s.ClientKey)
	connect, err := pgx.ParseConfig(text)
	if err != nil { // its text shows the URL
		return nil, errors.New("queue.url can't be used: " + withoutURL(err))
	}
	if !s.Password.IsZero() {
		connect.Password = s.Password.Reveal()
	}
	connect.RuntimeParams = map[string]string{} // a pooler passes none on
	return connect, nil
}

// withoutURL is the cause of an error of ParseConfig, without the text that it was about.
func withoutURL(err error) string {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	var address *net.AddrError
	if errors.As(err, &address) {
		return address.Err
	}
	return fmt.Sprintf("%T", err)
}

// sameShared reports whether a reload leaves the shared queue's connection as it is.
func sameShared(a, b *config.SharedQueue) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
