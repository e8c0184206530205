// Package counterparts starts the real programs that the bridge talks to, for tests: Debian's rsyslog and syslog-ng, and
// OpenTelemetry's Splunk HEC receiver. None of them is installed: Debian's packages are downloaded and unpacked into
// .cache/counterparts of the repository (apt-get download, dpkg -x, no root; the two conflict as installed packages),
// the HEC receiver is built there from the nested module bridge/bridgetest/peers, Let's Encrypt's test CA from
// bridge/bridgetest/pebble.
//
// A counterpart that can't be had fails the test with a line that says what is missing; nothing is skipped.
//
// Every daemon gets a loopback address of its own (127.a.b.c at random), so that its ports are fixed, free and stay
// the same over a restart, with no port picked, closed and hoped for:
//
//	             rsyslog               syslog-ng                  HEC receiver
//	udp     5140 imudp                 syslog(udp)
//	tcp     5141 imtcp, both framings  syslog(tcp), counted only
//	tls     5142 imtcp, client cert    syslog(tls), client cert
//	relp    5143 imrelp
//	relps   5144 imrelp, client cert
//	newline 5145 imtcp                 network(tcp), LF only
//	hec     8088                                                  http or https
//
// nginx, haproxy, caddy, promtool and fail2ban-regex come the same way, for contrib: Program runs one with any configuration.
//
// What a daemon received is read back from the file of JSON lines that it writes. A SIGKILL can tear the last of them:
// the next Start ends that line, and readers leave out this one line and no other that can't be decoded.
package counterparts
