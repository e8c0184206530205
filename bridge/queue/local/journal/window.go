package journal

import (
	"errors"
	"io"
)

const windowSize = 256 << 10

// window reads a file in large pieces for somebody who looks at it from front to back.
type window struct {
	file io.ReaderAt
	size int64 // of the file
	at   int64 // of buf
	buf  []byte
}

// get returns n bytes at an offset, fewer at the file's end. They are valid until the next call.
func (w *window) get(offset int64, n int) ([]byte, error) {
	n = int(max(0, min(int64(n), w.size-offset)))
	if offset < w.at || offset+int64(n) > w.at+int64(len(w.buf)) {
		if err := w.fill(offset, n); err != nil {
			return nil, err
		}
	}
	from := int(offset - w.at)
	return w.buf[from:min(from+n, len(w.buf))], nil
}

func (w *window) fill(offset int64, n int) error {
	want := int(min(int64(max(n, windowSize)), w.size-offset))
	if cap(w.buf) < want {
		w.buf = make([]byte, want)
	}
	w.at, w.buf = offset, w.buf[:want]
	read, err := w.file.ReadAt(w.buf, offset)
	w.buf = w.buf[:read]
	if err != nil && !errors.Is(err, io.EOF) {
		w.buf = w.buf[:0]
		return err
	}
	return nil
}
