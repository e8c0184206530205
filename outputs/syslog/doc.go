// Package syslog delivers to syslog collectors: over UDP, TCP, TLS, RELP, RELP over TLS and unix sockets, as RFC 5424
// or RFC 3164 messages, with failover addresses in order.
//
// What "delivered" means is the transport's to say, and Status and the metrics repeat it:
//
//	transport     on the wire                                       delivered, when                     level
//	udp           one message a datagram (RFC 5426)                 the kernel took it                  written
//	unix, dgram   one message a datagram                            the receiver's queue has it         written
//	tcp           MSG-LEN SP MSG, or MSG LF (RFC 6587 3.4.1, 3.4.2) the peer's kernel acknowledged it   kernel-acknowledged
//	tls           MSG-LEN SP MSG (RFC 5425), or MSG LF              the peer's kernel acknowledged it   kernel-acknowledged
//	unix, stream  MSG LF, or MSG-LEN SP MSG                         the peer's process has read it      kernel-acknowledged
//	relp, relps   TXNR SP "syslog" SP DATALEN SP MSG LF             the receiver answered 200           application-acknowledged
//
// A write is not a delivery. TCP accepts bytes for a peer that is gone, and the first write after the peer has closed
// usually succeeds. So a batch on TCP or TLS stays open until the kernel says that the peer's kernel has acknowledged its
// last byte: bytes written on the socket (ciphertext, under TLS) minus SIOCOUTQ. Acknowledgements raise no event, so a
// goroutine asks every 2 to 50 ms while anything is open, and the line goes on meanwhile. What a lost connection leaves
// unconfirmed goes back to the worker, which sends it again: at least once, never silently less. What the peer's kernel
// has acknowledged and its process has not read when it dies is lost to this accounting; RELP is the transport without
// that gap. Through a proxy or load balancer, the acknowledgement is the proxy's. README.md has measured figures.
//
// An Output has one connection at a time and no goroutine before the first Send. TCP and TLS have two (stream.go): one
// reads, to notice the peer's end before the next write does; one confirms. RELP has one, for the answers (relp.go).
// Datagram sockets have none. A connection that ends settles its batches in order and is replaced by the next Send,
// which tries every address once; waiting between attempts is bridge/forward's.
package syslog
