package splunkhec

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// gzipLevel is the fastest that looks for matches: see BenchmarkGzip for what the others cost and save.
const gzipLevel = gzip.BestSpeed

// buffers are the pools of one output: plain and compressed bodies, and compressors.
type buffers struct {
	keep                   int // a larger buffer was for an exceptional event and isn't worth keeping
	plain, packed, writers sync.Pool
}

// plainBuffer is a body before compression.
type plainBuffer struct{ bytes []byte }

func (b *buffers) getPlain() *plainBuffer {
	if p, ok := b.plain.Get().(*plainBuffer); ok {
		return p
	}
	return new(plainBuffer)
}

func (b *buffers) putPlain(p *plainBuffer) {
	if cap(p.bytes) <= b.keep {
		p.bytes = p.bytes[:0]
		b.plain.Put(p)
	}
}

func (b *buffers) putPacked(p *bytes.Buffer) {
	if p.Cap() <= b.keep {
		p.Reset()
		b.packed.Put(p)
	}
}

// pack compresses plain into a buffer of the packed pool.
func (b *buffers) pack(plain []byte) *bytes.Buffer {
	packed, ok := b.packed.Get().(*bytes.Buffer)
	if !ok {
		packed = new(bytes.Buffer)
	}
	w, ok := b.writers.Get().(*gzip.Writer)
	if !ok {
		w, _ = gzip.NewWriterLevel(nil, gzipLevel) // fails for an unknown level only
	}
	w.Reset(packed)
	_, _ = w.Write(plain) // a bytes.Buffer takes everything
	_ = w.Close()
	b.writers.Put(w)
	return packed
}

// body is the bytes of one request. net/http may go on reading a request's body after it has returned the answer, so
// that the buffer is given back only when every reader is closed.
type body struct {
	bytes   []byte
	gzipped bool

	mu      sync.Mutex
	readers int
	done    bool
	free    func()
}

// open returns a reader over the body from its start; it is a retryablehttp.ReaderFunc.
func (b *body) open() (io.Reader, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.readers++
	return &bodyReader{rest: b.bytes, body: b}, nil
}

// release says that no new reader will be opened.
func (b *body) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = true
	b.freeIfUnused()
}

func (b *body) closed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.readers--
	b.freeIfUnused()
}

func (b *body) freeIfUnused() {
	if b.done && b.readers == 0 && b.free != nil {
		b.free()
		b.free, b.bytes = nil, nil
	}
}

// bodyReader is one reader of a body. It knows its length, which makes net/http send Content-Length instead of chunks.
type bodyReader struct {
	mu   sync.Mutex // Close may come while another goroutine reads
	rest []byte
	body *body // nil: closed
}

// Len returns the number of bytes left, for retryablehttp.
func (r *bodyReader) Len() int { return len(r.rest) }

// Read implements io.Reader.
func (r *bodyReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.body == nil {
		return 0, errBodyClosed
	}
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (r *bodyReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.body != nil {
		r.body.closed()
		r.body, r.rest = nil, nil
	}
	return nil
}

var errBodyClosed = errors.New("read of a closed request body")
