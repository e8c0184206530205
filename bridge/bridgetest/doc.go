// Package bridgetest runs the built daemon for end-to-end tests: it builds the binary, writes a configuration with a
// throw-away certificate and secret, starts the daemon on port 0 under a fake service manager, and posts signed
// webhooks to it over TLS.
//
//	test ──▶ sender.Client ──TLS──▶ linuxguard-bridge run ──▶ counterparts (rsyslog, syslog-ng, HEC receiver), files
//	  ▲                                  │    │
//	  └──── NOTIFY_SOCKET: READY=1 ──────┘    └── control socket: where it listens, status, trace
//
// The binary is built with the race detector when the test is, so that a race anywhere in the daemon ends it with an
// exit code that Stop reports. LINUXGUARD_BINARY names another binary to test, e.g. the one of a package.
package bridgetest
