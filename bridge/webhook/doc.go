// Package webhook is the bridge's receiving side: it takes LinuxGuard's webhooks from the open internet, verifies them,
// has them made durable by a queue.Appender, and answers.
//
//	            Server                                   Handler
//	listeners ─▶ conns ─▶ TLS ─▶ net/http ─▶ middleware ─▶ admit ─▶ readBody ─▶ verify ─▶ judge ─▶ Append ─▶ answer
//	 TCP, unix,   max_connections,  HTTP/1.1           404 405    408 400     401      hold?     503      200
//	 systemd      fair eviction     HTTP/2             403 415    413         429
//
// # What a request meets
//
// The checks stand in the order of their statuses above, and nothing before verify looks into the body. Behind verify
// there are three outcomes (accepted, duplicate, quarantined: all 200) and 503. The body is what was received, byte
// for byte; the signature covers it and no header, so freshness is judged on the body's own timestamp.
//
// Every answer of the Handler is made once, at the start, and has a body {"status":...,"reason":...}. net/http answers
// for itself, as text, what is no HTTP request at all: 400 (malformed request lines, headers, lengths), 417, 431, 501
// (transfer codings) and 505; testdata/hostile-*.txt has each with its exact answer.
//
// # Time tells nothing
//
// A missing, a malformed and a wrong signature take one path: the body is read to its end, its HMAC is made with every
// key, and two 32-byte digests are compared by hmac.Equal each time. Required headers are compared by their SHA-256,
// all of them, whatever the first ones say.
//
// # Abuse
//
// What senders without the secret can hold is bounded: 128 MiB at the defaults, HTTP/2 included (see TestAttacks in bridge/bridgetest/e2e).
// That is max_connections places (conns.go) with their TLS buffers, header and 12 KiB of body each, one shared budget for larger bodies
// (body.go), two LRUs (addresses that failed, delivery IDs that were refused), and net/http's own limits, which Server sets. Buffers grow
// with what arrives and never with what Content-Length claims. At max_connections a newcomer gets the place of the connection that has
// waited longest, of the address that holds the most: a request that has been read is always answered. A failed verification beyond an
// address's rate is answered 429 in place of 401, after it has failed, so that a flood from behind a shared proxy costs no signed delivery
// its 200.
//
// HTTP/2 is off unless server.http2 turns it on. Then a connection may have 8 streams, each beside the first counts as a connection, and one
// that sends 192 KiB beside bodies without a verified request is closed: floods of resets, pings, settings, priorities, window updates,
// continuations and empty frames end there. Of h2spec's 146 cases 143 pass. The others are net/http's choice: it ends a connection whose
// SETTINGS name a value twice (6.5.3), and answers 400 in place of resetting the stream for connection-specific fields (8.1.2.2, two).
//
// The client is the TCP peer, or whom trusted_proxies name in X-Forwarded-For, read from the right. The peer of a unix
// socket counts as 127.0.0.1.
//
// # Log lines
//
// A refusal is one line whose message is "refused ADDRESS: REASON (STATUS)", for good: fail2ban matches it. Nothing
// that a client can choose is in it. REASON is also the metric's outcome label and what trace shows.
//
// # Known limits
//
// A request with both Content-Length and Transfer-Encoding is read by the latter. RFC 9112 section 6.1 wants the
// connection closed after it, but net/http deletes the length before a handler could see it: here the refusal of any
// chunked request closes, while a signed one (which a smuggler can only replay) does not.
//
// What net/http refuses by itself (see above) leaves no log line; connections_without_request_total counts it.
package webhook
