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
// Who may import whom: webhook, forward, admin and config know queue and signal at most; outputs know signal alone;
// this package and the command know everything.
package bridge
