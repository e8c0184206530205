// Package admin shows operators what the bridge does, and lets them act on its quarantine.
//
// It has two listeners. The HTTP listener only reads: /metrics, /healthz, /readyz and the status page at /. It stands on
// loopback, or elsewhere behind TLS and a password, and refuses a Host header that it doesn't know, so that a web page
// that an operator visits can't read it through DNS rebinding. The control socket is a Unix socket (mode 0660, the
// service's group: the mode says who may connect) that speaks HTTP and JSON to the command line; the kernel says who
// is at the other end, and every action is logged with that.
//
//	browser, Prometheus ──▶ TCP listener ──▶ Host, password ──▶ /  /metrics  /healthz  /readyz
//	linuxguard-bridge status|tail|trace|audit|quarantine|losses|queue ──▶ admin.sock ──▶ /v1/...
//
// Everything that is shown is a snapshot from Source and from the queue. What is wrong, and whether the bridge is ready, is judged
// in one place (Judge), so that no two views disagree. The page, the health answers and the metrics hold no secret and no payload;
// only `quarantine show` returns a payload, over the control socket.
package admin
