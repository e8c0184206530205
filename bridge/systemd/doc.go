// Package systemd speaks to the service manager: sd_notify(3), the watchdog, sockets handed over, the journal and
// credentials. Without systemd all of it does nothing, so that callers never ask where they run.
//
//	start    READY=1 + STATUS=          every listener accepts, the queue is open, the outputs are built
//	run      STATUS=                    a living line, sent when it changes
//	         WATCHDOG=1                 at half of WatchdogSec=, only while every progress check passes
//	SIGHUP   RELOADING=1 + MONOTONIC_USEC=  in one datagram (Type=notify-reload, systemd 253 and later), then READY=1;
//	                                    a reload that failed is READY=1 with the reason in STATUS=
//	SIGTERM  STOPPING=1, then EXTEND_TIMEOUT_USEC= again and again while the drain makes progress
//
// A message is one datagram to $NOTIFY_SOCKET. "Sent" means queued, nothing more; the protocol has no answer.
package systemd
