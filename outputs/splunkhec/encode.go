package splunkhec

import (
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// minLimit bounds how far a receiver's "too long" lowers the size of requests.
const minLimit = 16 << 10

// encode makes the body of one request from the events of part, and returns how many of them fit: at least one,
// however long. The caller releases the body.
func (o *Output) encode(batch []outputs.Record, part []int) (*body, int) {
	limit := int(o.limit.Load())
	plain := o.buffers.getPlain()
	n := 0
	for _, i := range part {
		end := len(plain.bytes)
		plain.bytes = append(o.routing.appendEvent(plain.bytes, &batch[i]), '\n')
		if len(plain.bytes) > limit && n > 0 {
			plain.bytes = plain.bytes[:end]
			break
		}
		n++
	}
	o.metrics.plainBytes.Add(float64(len(plain.bytes)))
	if !o.settings.Gzip || o.plain.Load() {
		return &body{bytes: plain.bytes, free: func() { o.buffers.putPlain(plain) }}, n
	}
	packed := o.buffers.pack(plain.bytes)
	o.buffers.putPlain(plain)
	o.metrics.sentBytes.Add(float64(packed.Len()))
	return &body{bytes: packed.Bytes(), gzipped: true, free: func() { o.buffers.putPacked(packed) }}, n
}

// lowerLimit remembers that a request with the events of part was too long, so that the next ones needn't be halved.
func (o *Output) lowerLimit(batch []outputs.Record, part []int) {
	if len(part) < 2 {
		return
	}
	size := 0
	for _, i := range part {
		size += len(o.routing.appendEvent(nil, &batch[i])) + 1
	}
	limit := max(int64(size/2), minLimit)
	if old := o.limit.Load(); limit < old && o.limit.CompareAndSwap(old, limit) {
		o.env.Log.Warn("the collector refuses requests of this size, sending smaller ones: lower batch_max_bytes",
			"bytes", size, "limit", limit)
	}
}
