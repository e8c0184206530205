package syslog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
)

// RELP frames, both ways (RELP specification 0.0.1, "Frame"; where it is ambiguous, as librelp has it):
//
//	TXNR SP COMMAND SP DATALEN [SP DATA] LF
//
// TXNR and DATALEN have 1 to 9 digits, COMMAND 1 to 32 letters. DATALEN counts the octets of DATA alone; when it is 0,
// the space before DATA is absent too.
const (
	maxTxnr         = 999_999_999
	maxRELPDigits   = 9
	maxRELPCommand  = 32
	maxRELPAnswer   = 128 << 10 // of one answer's DATA
	relpReadBuffer  = 16 << 10
	maxPeerText     = 200 // of what a peer says that is shown
	relpHeaderBytes = maxRELPDigits + 1 + maxRELPCommand + 1 + maxRELPDigits
)

// relpFrame is one frame as read. Its slices are valid until the next read.
type relpFrame struct {
	txnr    uint32
	command []byte
	data    []byte
}

// errRELPFrame is wrapped by every error about bytes that are no frame. There is no way to find the next frame then.
var errRELPFrame = errors.New("not a RELP frame")

// appendRELP appends one frame with data.
func appendRELP(dst []byte, txnr uint32, command string, data []byte) []byte {
	dst = strconv.AppendUint(dst, uint64(txnr), 10)
	dst = append(dst, ' ')
	dst = append(dst, command...)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, int64(len(data)), 10)
	if len(data) > 0 {
		dst = append(dst, ' ')
		dst = append(dst, data...)
	}
	return append(dst, '\n')
}

// relpReader cuts a connection's bytes into frames, however they arrive.
type relpReader struct {
	src    io.Reader
	buf    []byte
	r, w   int       // unread bytes are buf[r:w]
	filled time.Time // when the last bytes arrived
}

func newRELPReader(src io.Reader) *relpReader {
	return &relpReader{src: src, buf: make([]byte, relpReadBuffer)}
}

// next returns the next frame, reading more only when none is complete. A timeout of the source leaves what has
// arrived in place, so that next can be called again.
func (r *relpReader) next() (relpFrame, error) {
	for {
		f, n, err := parseRELP(r.buf[r.r:r.w])
		if err != nil {
			return relpFrame{}, err
		}
		if n > 0 {
			r.r += n
			return f, nil
		}
		if err := r.fill(); err != nil {
			return relpFrame{}, err
		}
	}
}

func (r *relpReader) fill() error {
	if r.r > 0 {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	if r.w == len(r.buf) { // parseRELP bounds a frame, and so this
		r.buf = append(r.buf, make([]byte, len(r.buf))...)
	}
	n, err := r.src.Read(r.buf[r.w:])
	r.w += n
	r.filled = time.Now()
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// parseRELP reads the frame at the start of b and how long it is; 0 when it isn't complete.
func parseRELP(b []byte) (f relpFrame, n int, err error) {
	txnr, i, err := relpNumber(b, "TXNR")
	if i == 0 || err != nil {
		return f, 0, err
	}
	end := i
	for end < len(b) && isLetter(b[end]) && end-i <= maxRELPCommand {
		end++
	}
	switch {
	case end-i > maxRELPCommand || end < len(b) && (end == i || b[end] != ' '):
		return f, 0, fmt.Errorf("%w: the command is not 1 to %d letters and a space", errRELPFrame, maxRELPCommand)
	case end == len(b):
		return f, 0, nil
	}
	f.txnr, f.command = txnr, b[i:end]
	return relpData(b, end+1, f)
}

// relpData reads DATALEN, DATA and the trailer from b[i:] on.
func relpData(b []byte, i int, f relpFrame) (relpFrame, int, error) {
	digits := i
	length := 0
	for ; i < len(b) && isDigit(b[i]) && i-digits < maxRELPDigits; i++ {
		length = length*10 + int(b[i]-'0')
	}
	if i == len(b) {
		return f, 0, nil
	}
	if i == digits || length > maxRELPAnswer {
		return f, 0, fmt.Errorf("%w: DATALEN is not a number up to %d", errRELPFrame, maxRELPAnswer)
	}
	if length == 0 && b[i] == '\n' {
		return f, i + 1, nil
	}
	if b[i] != ' ' {
		return f, 0, fmt.Errorf("%w: no space after DATALEN", errRELPFrame)
	}
	i++ // length 0 and yet a space is what some servers send: harmless
	if len(b) <= i+length {
		return f, 0, nil
	}
	if b[i+length] != '\n' {
		return f, 0, fmt.Errorf("%w: no newline after DATA", errRELPFrame)
	}
	f.data = b[i : i+length]
	return f, i + length + 1, nil
}

// relpNumber reads up to 9 digits and the space after them; n is 0 when they aren't complete.
func relpNumber(b []byte, name string) (value uint32, n int, err error) {
	i := 0
	for ; i < len(b) && isDigit(b[i]) && i < maxRELPDigits; i++ {
		value = value*10 + uint32(b[i]-'0')
	}
	if i == len(b) {
		return 0, 0, nil
	}
	if i == 0 || b[i] != ' ' {
		return 0, 0, fmt.Errorf("%w: %s is not 1 to %d digits and a space", errRELPFrame, name, maxRELPDigits)
	}
	return value, i + 1, nil
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// relpAnswer is the DATA of a rsp: CODE SP TEXT [LF DATA].
type relpAnswer struct {
	code int
	text string // for people, printable
	data []byte
}

const relpOK = 200

// parseRELPAnswer reads the DATA of a rsp. librelp demands a space after the code; nothing is gained by refusing a
// bare one.
func parseRELPAnswer(data []byte) (relpAnswer, error) {
	if len(data) < 3 || !isDigit(data[0]) || !isDigit(data[1]) || !isDigit(data[2]) || len(data) > 3 && data[3] != ' ' && data[3] != '\n' {
		return relpAnswer{}, fmt.Errorf("%w: a rsp does not begin with a code of three digits", errRELPFrame)
	}
	a := relpAnswer{code: int(data[0]-'0')*100 + int(data[1]-'0')*10 + int(data[2]-'0')}
	line, rest, _ := bytes.Cut(data[3:], []byte{'\n'})
	a.data = rest
	if a.code != relpOK { // the others are read at every record
		a.text = display.Excerpt(string(line), maxPeerText)
	}
	return a, nil
}
