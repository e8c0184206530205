package splunkhec

import (
	"fmt"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// lately is how long ago an accepted event still shows that token and way are right.
const lately = 10 * time.Minute

// acceptedLately reports whether events were accepted so lately that a refusal is about what is in the request.
func (o *Output) acceptedLately() bool {
	at := o.accepted.Load()
	return at != 0 && o.env.Now().Sub(time.Unix(0, at)) < lately
}

// allRefused judges a batch of which every event was refused. The first that came alone may be at fault itself; several, or one after the
// other, are not: nil says that they are to be quarantined.
func (o *Output) allRefused(events int, cause error) error {
	if events == 1 && o.alone.Add(1) == 1 {
		return nil
	}
	if o.giveUpGzip() {
		return &outputs.RetryError{Err: fmt.Errorf("every event is refused: %w", cause)}
	}
	return &outputs.BlockedError{Err: fmt.Errorf("every event is refused, so the collector is at fault and not one of them: %w", cause)}
}

// giveUpGzip has everything sent uncompressed from now on. It returns false when it is already.
func (o *Output) giveUpGzip() bool {
	if !o.settings.Gzip || o.plain.Swap(true) {
		return false
	}
	o.env.Log.Warn("the collector refuses everything that is compressed, trying without: set gzip = false if that works")
	return true
}
