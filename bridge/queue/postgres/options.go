package postgres

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// Replication is who keeps a commit beside the server itself.
type Replication string

// The ways in which a commit outlives its server.
const (
	ByStandby Replication = "standby" // a synchronous standby: appends are refused while synchronous_standby_names is empty
	ByStorage Replication = "storage" // the service's storage
	ByNothing Replication = "nothing" // one server and its disk
)

// Options are what Open needs.
type Options struct {
	Connect      *pgx.ConnConfig // made by pgx.ParseConfig, with password and TLS; its text is never logged
	Schema       string
	ReplicatedBy Replication
	Pooler       bool          // a pooler in transaction mode lies between: no prepared statements
	Takeover     time.Duration // how long an owner may show no sign of life; 2 to 60 s
	MaxConns     int32         // 0: 8

	Bridge     string // this bridge's name
	Host       string
	Version    string
	ConfigHash string // of the configuration, to warn when bridges differ

	Limits           queue.Limits
	Capacity         int           // deliveries that are remembered
	Window           time.Duration // how long a delivery and an outcome count
	ProgressInterval time.Duration // how long progress waits for an append that it rides along with
	EndDelay         time.Duration // how long an output lives that no bridge names any more; 0: 10 min

	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: none
	// Now is the clock for windows and ages. Nil, as in the daemon: the database's.
	Now func() time.Time

	// wrap, in tests, sees the context of every transaction before it begins.
	wrap func(context.Context) error
}

// The bounds of what waits for a database, and of one transaction.
const (
	maxWaiting    = 64 << 20 // bytes of bodies
	maxBatch      = 8 << 20  // bytes of bodies
	maxBatchCount = 1000
	maxDuplicates = 100_000 // sequences whose duplicates are counted
	heldBytes     = 8 << 20 // of acknowledged events that are kept to append them again when the database goes back in time

	closeTime   = 5 * time.Second  // for the last words to a database that may be away: nothing is lost without them
	attemptTime = 10 * time.Second // one transaction, waits for locks and standbys included
	endDelay    = 10 * time.Minute
	pollEvery   = 100 * time.Millisecond
)

func (o *Options) setDefaults() {
	if o.MaxConns == 0 {
		o.MaxConns = 8
	}
	if o.EndDelay == 0 {
		o.EndDelay = endDelay
	}
	if o.ProgressInterval == 0 {
		o.ProgressInterval = time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}
