// Package outputs defines what a destination kind is: the Output interface that bridge/forward drives, the errors by
// which an output says what became of a batch, and Kind, by which the configuration makes one.
//
// An output owns format and transport of one destination and nothing else: it never retries for long (bridge/forward
// does, in one place, from the durable queue), never drops and never decides what is quarantined. A package under
// outputs imports no queue, no forward and no other output. A new destination is one folder and one line in
// outputs/all.
package outputs

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
)

// Record is one event on its way to one destination. It and all it points to are read-only.
type Record struct {
	BridgeID   string // identifies the queue, made once
	Seq        uint64 // bridge_seq: gap-free, from 1
	ResendOf   uint64 // the bridge_seq that this record repeats by an operator's command, 0 otherwise
	Endpoint   string
	DeliveryID string // LinuxGuard-Delivery; may be empty
	ReceivedAt time.Time
	Body       []byte         // the webhook's body as received
	Signal     *signal.Signal // Body decoded, never nil
	Header     []Header       // the request headers that some output's match names
	Notes      []string       // what the receiver had to interpret; Signal.Notes has what the decoder had to
	Synthetic  bool           // made by the bridge itself (the absence alarm), not by LinuxGuard
}

// Header is one request header kept for routing.
type Header struct{ Name, Value string }

// Output delivers records to one destination. One goroutine calls Send and Close; Status may be called from any.
// A constructor must not connect: an Output that was never sent anything holds no connection and no goroutine.
type Output interface {
	// Send starts the delivery of batch, in order, and returns when the next batch may be handed over, which can be
	// long before delivery: many batches may be in flight. It may block, for back-pressure, until ctx ends. It must
	// call done exactly once for every batch, from any goroutine (also before Send returns), when the fate of every
	// record is known:
	//
	//	nil              all are delivered, at the level that Status names
	//	*PartialError    the named records are refused for good; Rest says what became of the others
	//	*BlockedError       an operator must mend something; the batch keeps its place and is tried again slowly
	//	ErrNotOwner      Env.Valid was false before a request or a write; nothing of the batch was sent after that
	//	any other error  temporary; the batch is tried again (a *RetryError can ask for a delay)
	//
	// The batch is valid until done is called. When ctx ends, unfinished batches are given up with ctx's error.
	Send(ctx context.Context, batch []Record, done func(error))

	// Batching says what batches Send wants. It does not change in an Output's life.
	Batching() Batching

	// Status describes the destination as it is now, for people and metrics.
	Status() Status

	// Close says goodbye to the peer as its protocol wants (RELP close, TLS close_notify, fsync) within ctx, releases
	// everything and ends every unfinished batch by its done. It is called once, after the last Send returned.
	Close(ctx context.Context) error
}

// Batching bounds the batches of one output. A batch has at least one record, however large.
type Batching struct {
	MaxRecords  int
	MaxBytes    int           // of webhook bodies; an output whose encoding is larger splits by itself
	Linger      time.Duration // how long a batch may wait for more while others are in flight; at most 5 ms when nothing is, and a lone record not at all
	MaxInFlight int           // records sent and not yet done; bounds the duplicates after a crash
}

// Level is how much "delivered" means.
type Level int

// The levels, from weakest to strongest.
const (
	Written            Level = iota // handed to this host's kernel (udp, unix datagrams, standard output)
	KernelAcknowledged              // the peer's kernel has acknowledged the last byte (tcp, tls)
	AppAcknowledged                 // the receiving application has answered (RELP, HEC)
	Stored                          // the receiver says it is stored (HEC indexer acknowledgement, fsynced file)
)

// String returns the level's name as status and metrics show it.
func (l Level) String() string {
	switch l {
	case Written:
		return "written"
	case KernelAcknowledged:
		return "kernel-acknowledged"
	case AppAcknowledged:
		return "application-acknowledged"
	default:
		return "stored"
	}
}

// State is what an output is doing about its connection.
type State string

// The states.
const (
	StateIdle       State = "idle" // nothing was sent yet, or the connection was closed in good order
	StateConnecting State = "connecting"
	StateUp         State = "up"
	StateDown       State = "down" // the last attempt failed; LastError says why
)

// Status is a snapshot of one output's destination.
type Status struct {
	Level    Level
	State    State
	Peer     string   // address or URL in use, without secrets
	Warnings []string // what an operator should look at although it works: verification is off, one of several addresses fails

	Certificates []Certificate // those that it relies on and that end soon, or are not valid now
}

// Certificate is one that an operator should look at. Outputs may share it, so each says which one it is.
type Certificate struct {
	ID    string // the SHA-256 of its DER form, in hex
	Where string // the file, or the address whose peer has shown it
	Text  string // whose it is, when it ends, what to do
}

// Prober is implemented by outputs that can be tried from the command line ("check --probe").
type Prober interface {
	// Probe reaches out to every address of the destination and returns one line of finding for each. It sends
	// nothing that would stay at the receiver.
	Probe(ctx context.Context) ([]Finding, error)
}

// Finding is one line of a probe's result.
type Finding struct {
	Target string // address or URL
	OK     bool
	Text   string // what was found, one line
}

// Renderer is implemented by every kind that is in outputs/all: it shows the bytes that Send would emit for rec,
// without framing or batching ("render").
type Renderer interface {
	Render(rec Record) ([]byte, error)
}

// Env is what an output gets from the bridge beside its own table.
type Env struct {
	Name     string       // the output's name in the configuration
	Log      *slog.Logger // carries the output's name already
	Secret   func(secret.Ref) (secret.Value, error)
	Now      func() time.Time
	Version  string // of the bridge, for User-Agent and RELP's relp_software
	Hostname string // of this host
	// Metrics takes the output's own metrics, named linuxguard_bridge_<kind>_..., until the output is closed. It adds the
	// label output. nil: nobody wants them.
	Metrics prometheus.Registerer

	// Valid reports whether this bridge still owns the output; once false it stays so. An output asks it, through
	// CheckOwner, right before each HTTP request and each write, goodbyes included: an owner that was suspended in the
	// middle of a Send must not go on when it wakes up. nil: always valid.
	Valid func() bool
}

// CheckOwner returns ErrNotOwner when this bridge no longer owns the output.
func (e *Env) CheckOwner() error {
	if e.Valid == nil || e.Valid() {
		return nil
	}
	return ErrNotOwner
}

// Kind is one kind of destination, as outputs/all lists it.
type Kind struct {
	// Name is the value of "type" in the output's table.
	Name string
	// New decodes the output's table into the kind's own settings by calling decode (TOML keys, unknown keys are
	// reported by the configuration), checks them all and returns the Output without connecting. Every
	// problem found is in the error, joined (errors.Join), as *KeyError where a key is to blame.
	New func(env Env, decode func(settings any) error) (Output, []Warning, error)
}

// Warning is something in the configuration that works but that an operator should know.
type Warning struct {
	Key, Text   string
	Certificate string // the ID of the certificate that it is about; empty: none
}

// KeyError is a problem with one key of an output's table.
type KeyError struct {
	Key string // relative to the output's table, e.g. "framing" or "addresses"
	Err error
}

// Error implements error.
func (e *KeyError) Error() string { return e.Key + ": " + e.Err.Error() }

// Unwrap implements errors.Unwrap's contract.
func (e *KeyError) Unwrap() error { return e.Err }

// ConfigKey names the key to bridge/config, which can't import this package.
func (e *KeyError) ConfigKey() string { return e.Key }
