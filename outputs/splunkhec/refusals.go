package splunkhec

import (
	"fmt"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// recentSuccess is how long ago an accepted event still shows that token and way are right.
const recentSuccess = 10 * time.Minute

// acceptedRecently reports whether events were accepted so lately that a refusal is about what is in the request.
func (o *Output) acceptedRecently() bool {
	at := o.accepted.Load()
	return at != 0 && o.env.Now().Sub(time.Unix(0, at)) < recentSuccess
}

// allRefused judges a batch of which every event was refused. Nil says that they are at fault, and to be quarantined: one that came alone,
// and whatever is refused again although the collector has accepted others since it began to refuse. Else it may refuse everything.
func (o *Output) allRefused(events int, cause error) error {
	began, now := o.refusing.Load(), o.accepts.Load()+1
	if began == 0 && events == 1 || began != 0 && now > began {
		o.refusing.Store(now)
		return nil
	}
	o.refusing.CompareAndSwap(0, now)
	if o.giveUpGzip() {
		return &outputs.RetryError{Err: fmt.Errorf("every event is refused: %w", cause)}
	}
	return &outputs.BlockedError{Err: fmt.Errorf("every event is refused, so the collector is at fault and not one of them: %w", cause), Records: true}
}

// giveUpGzip has everything sent uncompressed from now on. It returns false when it is already.
func (o *Output) giveUpGzip() bool {
	if !o.settings.Gzip || o.plain.Swap(true) {
		return false
	}
	o.env.Log.Warn("the collector refuses everything that is compressed, trying without: set gzip = false if that works")
	return true
}
