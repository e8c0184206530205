// Package splunkhec delivers to Splunk's HTTP Event Collector, and to what speaks its language.
//
//	Send ─▶ delivery ─▶ encode, gzip ─▶ post ─▶ pool picks a collector ─▶ session posts ─▶ answer ─▶ verdict
//	  ▲        │ ▲                                   (round robin, health)     (connections,             │
//	  │        │ └──────────── parts that are left, halves, the rest ───────── cookies, channel) ◀───────┘
//	  │        └─▶ done: nil, refused records, or why to send again                 │
//	  └─ blocks while max_requests_in_flight batches are under way                  └─▶ acks: polls until true
//
// A request is one POST of concatenated events, each a line with all of its metadata:
//
//	POST /services/collector/event
//	Authorization: Splunk <token>
//	X-Splunk-Request-Channel: <uuid>        with indexer_ack only
//	Content-Encoding: gzip
//
//	{"time":1772461921.000,"host":"web-01","source":"linuxguard",...,"fields":{"delivery_id":"..."},"event":{...}}
//	{"time":1772461922.000,...}
//
// # What an answer means
//
// HTTP status and HEC code decide, the text never: it differs between releases.
//
//	200 with code 0, 24, 25               taken (24, 25: and slow down)
//	408, 425, 429, 5xx; 8, 9, 18-20, 23,  temporary: another collector, then again later; Retry-After is obeyed within
//	26, 27, a broken connection           five minutes
//	401, 404, redirects, other 4xx;       hold: another collector, then again slowly, with the alarm raised, until it is
//	1-5, 10, 11, 14, 16, 17, 21, 22, 28   mended; nothing is lost
//	413, and code 6 at event 0            halved
//	400 with 6, 12, 13, 15                the named event is refused for good, the others are sent again; without a
//	                                      number halved until it is alone
//	403 or another 4xx without a code     halved until one is alone, which is refused for good, when events were accepted
//	                                      lately (a firewall); else held
//	400 with 7                            events of each index on their own: refused for good where a rule chose the
//	                                      index, else blocked
//	200 that isn't HEC's                  not delivered: a page of HTML holds; another answer is tried again three times,
//	                                      then only behind a health page of HEC's, ever more seldom. With success =
//	                                      "status" it counts, unless it is a page or has another code
//
// # How often an event can arrive twice
//
// Once more for each request whose answer was lost; once for standing before a refused event; at most log2(n) times in
// a request of n events that is refused without a number by a receiver that indexed it in part; once for each
// ack_timeout that passes without its acknowledgement. Every copy carries its delivery ID and bridge_seq.
//
// # Indexer acknowledgement
//
// An accepted request is delivered when its ackId is true. Each lane (a request's place at one collector) has one
// connection, one cookie jar and one channel, so that polls go to the node that took the events; it posts or polls, one
// at a time, so that a channel's ackIds only grow. One that doesn't grow shows a restart, and everything pending on that
// channel is sent again. Before a channel is first used a poll makes sure that acknowledgement is on: a token
// without it would index the same events again at every try.
//
// Known limits. Cookies that change are not taken for a change of node, because load balancers renew theirs with every
// answer; behind one that isn't sticky, acknowledgements time out. If Splunk restarts, a request's answer is lost and
// that request's ackId is one that is still pending from before, the poll confirms the wrong one; it takes all three at
// once, and the first ackIds of a channel.
package splunkhec
