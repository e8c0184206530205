// Package bridge wires the parts and owns their lifetimes: start, reload, drain, stop.
//
//	HTTPS POST ─▶ webhook ─▶ queue ─▶ 2xx to the sender
//	                          │
//	                          ├─▶ forward(output A) ─▶ outputs/syslog    ─▶ collector
//	                          └─▶ forward(output B) ─▶ outputs/splunkhec ─▶ Splunk
//
// Parts are started from right to left and stopped from left to right, so that nothing is accepted before it can be
// forwarded and nothing that was accepted is left without its worker. A reload builds everything of the new
// configuration first and changes nothing when any of it fails.
//
// # Words
//
// They mean the same everywhere, in code, messages and metrics:
//
//	endpoint   a URL path of the receiver with its secrets; what LinuxGuard's console calls a webhook endpoint
//	delivery   one webhook that LinuxGuard posts to an endpoint, under a delivery ID; a retry is the same delivery
//	signal     what LinuxGuard has found, as the delivery's body tells it; two deliveries can tell the same
//	event      an accepted delivery in the queue, under its sequence (bridge_seq)
//	record     an event as an output sends it: one syslog message, one event of HEC's, one line of a file
//	output     a destination with a cursor in the queue and a worker of its own
//
// Where a protocol has such a word of its own (event_type, Splunk's events), it is that protocol's.
//
// # Who imports whom
//
// A signal enters at the left and leaves at the right, and nothing downstream calls back upstream. A test holds this table against
// what the packages of the daemon import of each other; whoever changes it changes the architecture.
//
//	cmd/linuxguard-bridge    the command: a thin main, one file a subcommand
//	    bridge, bridge/admin, bridge/config, bridge/display, bridge/logging, bridge/pemfile, bridge/permission,
//	    bridge/queue/local, bridge/queue/postgres, bridge/secret, bridge/sender, bridge/signal, bridge/systemd, bridge/tail,
//	    bridge/throwaway, outputs
//	bridge                   wires the parts, owns their lifetimes
//	    bridge/absence, bridge/admin, bridge/config, bridge/display, bridge/forward, bridge/logging, bridge/pemfile, bridge/queue,
//	    bridge/queue/local, bridge/queue/local/journal, bridge/queue/postgres, bridge/secret, bridge/signal, bridge/systemd,
//	    bridge/tail, bridge/webhook, outputs, outputs/all
//	bridge/admin             metrics, health, status page and control socket
//	    bridge/display, bridge/pemfile, bridge/queue, bridge/secret, bridge/signal, bridge/tail, bridge/unixsocket
//	bridge/config            TOML files to a checked, immutable Config; resolves secrets
//	    bridge/display, bridge/pemfile, bridge/permission, bridge/secret, bridge/setting
//	bridge/display           what people read: one line, numbers, times, sizes
//	bridge/forward           one worker an output, inside a tenure
//	    bridge/display, bridge/logging, bridge/queue, bridge/signal, bridge/tail, outputs
//	bridge/logging           slog as journal records, text or JSON
//	    bridge/display
//	bridge/pemfile           certificates and keys from files, and what is wrong with one
//	    bridge/permission
//	bridge/permission        whose a file is, and what to type
//	bridge/queue             the queue's contract: types, errors, small interfaces
//	    bridge/signal
//	bridge/queue/local       the embedded engine: one log, one sync
//	    bridge/queue, bridge/queue/local/journal, bridge/queue/queuemetrics
//	bridge/queue/local/journal  its segments, groups and recovery
//	bridge/queue/postgres    the engine that bridges share, on PostgreSQL
//	    bridge/queue, bridge/queue/queuemetrics
//	bridge/queue/queuemetrics  the metrics of every engine
//	    bridge/queue
//	bridge/secret            a secret that can't print itself
//	    bridge/permission
//	bridge/sender            signs and posts as LinuxGuard does
//	    bridge/pemfile
//	bridge/setting           the types of settings that refer to files
//	bridge/signal            LinuxGuard's payload
//	bridge/absence           the alarm when nothing comes
//	    bridge/logging
//	bridge/systemd           the service manager
//	    bridge/display
//	bridge/tail              what happens now, for whoever watches
//	bridge/throwaway         certificates for the demo
//	bridge/unixsocket        the unix sockets that admin and webhook listen on
//	bridge/webhook           the HTTPS receiver: limits, signature, freshness, the LRU of answered deliveries, answer
//	    bridge/logging, bridge/pemfile, bridge/queue, bridge/secret, bridge/signal, bridge/tail, bridge/unixsocket
//	outputs                  the Output interface, its error types, the kinds
//	    bridge/secret, bridge/signal
//	outputs/all              the one literal table of kinds
//	    outputs, outputs/file, outputs/splunkhec, outputs/syslog
//	outputs/file             one kind of destination each: format and transport
//	    bridge/permission, bridge/setting, outputs, outputs/mapping
//	outputs/mapping          every rule by which a field is written, in every format
//	    bridge/signal, outputs, outputs/syslog/rfc5424
//	outputs/splunkhec
//	    bridge/display, bridge/secret, bridge/setting, bridge/signal, outputs, outputs/mapping, outputs/tlsclient
//	outputs/syslog
//	    bridge/display, bridge/setting, outputs, outputs/mapping, outputs/tlsclient
//	outputs/syslog/rfc5424   the pure encoder
//	outputs/tlsclient        TLS settings that outputs share
//	    bridge/pemfile, bridge/setting, outputs
//
// Only this package and the command import an engine of the queue.
package bridge
