package webhook

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/linuxguard/linuxguard-bridge/bridge/logging"
)

// maxVisitors bounds the memory of addresses that were refused something: about 2 MiB.
const maxVisitors = 16384

// Refusals are logged one by one up to these rates, so that fail2ban sees enough of each address and a flood does not
// fill the journal.
const (
	visitorLogBurst = 10
	visitorLogEvery = 10 * time.Second
	totalLogBurst   = 200
	totalLogEvery   = 50 * time.Millisecond
)

// bucket is a token bucket: burst at once, then one every interval. The zero value is full. There are two for each of
// maxVisitors, and x/time's Limiter takes three times the memory.
type bucket struct {
	emptyAt time.Time // when the debt is paid off: the bucket is full again
}

// take takes one token, or reports that there is none.
func (b *bucket) take(now time.Time, burst int, every time.Duration) bool {
	if b.emptyAt.Before(now) {
		b.emptyAt = now
	}
	if b.emptyAt.Sub(now) > time.Duration(burst-1)*every {
		return false
	}
	b.emptyAt = b.emptyAt.Add(every)
	return true
}

// visitors remembers the addresses that were refused something lately. An address that is pushed out by others starts
// anew: that gives a flood from many addresses a few more 401 instead of 429, and nothing else.
type visitors struct {
	mu    sync.Mutex
	seen  *simplelru.LRU[netip.Addr, *visitor]
	lines *logging.Limit // of all addresses
	quiet int            // refusals of addresses that had used up their lines, since the last line
}

type visitor struct{ failures, lines bucket }

func newVisitors() *visitors {
	seen, err := simplelru.NewLRU[netip.Addr, *visitor](maxVisitors, nil)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &visitors{seen: seen, lines: logging.NewLimit(totalLogBurst, totalLogEvery)}
}

func (v *visitors) of(group netip.Addr) *visitor {
	if known, ok := v.seen.Get(group); ok {
		return known
	}
	fresh := &visitor{}
	v.seen.Add(group, fresh)
	return fresh
}

// mayFail counts a failed verification and reports whether it is still within the address's rate.
func (v *visitors) mayFail(group netip.Addr, now time.Time, burst int, every time.Duration) bool {
	if burst < 0 {
		return true
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.of(group).failures.take(now, burst, every)
}

// mayLog reports whether a refusal gets a log line, and how many got none since the last one that did.
func (v *visitors) mayLog(group netip.Addr, now time.Time) (notLogged int, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.of(group).lines.take(now, visitorLogBurst, visitorLogEvery) {
		v.quiet++
		return 0, false
	}
	if notLogged, ok = v.lines.Line(now); ok {
		notLogged, v.quiet = notLogged+v.quiet, 0
	}
	return notLogged, ok
}
