package counterparts

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/lines"
)

// Record is what a receiver understood of one syslog message. Fields that it doesn't report are empty.
type Record struct {
	In     string `json:"in"` // the input that took it: udp, tcp, tls, relp, relps or newline
	Pri    string `json:"pri"`
	Ver    string `json:"pver"` // rsyslog only
	Time   string `json:"ts"`
	Host   string `json:"host"`
	App    string `json:"app"`
	ProcID string `json:"procid"`
	MsgID  string `json:"msgid"`
	SD     string `json:"sd"`
	Msg    string `json:"msg"`
	Raw    string `json:"raw"` // rsyslog only: the message as it came, without framing

	Params map[string]string `json:"-"` // syslog-ng only: SD-PARAMs as it parsed them, "linuxguard@32473.signal_id"
}

// HECEvent is one event as OpenTelemetry's HEC receiver understood it.
type HECEvent struct {
	Time       float64        `json:"time"`
	Host       string         `json:"host"`
	Source     string         `json:"source"`
	SourceType string         `json:"sourcetype"`
	Index      string         `json:"index"`
	Event      map[string]any `json:"event"`
	Fields     map[string]any `json:"fields"`
	Token      string         `json:"token"`
}

// received is the file of JSON lines that a receiver appends to, over all its starts.
type received struct {
	path string
	mu   sync.Mutex
	torn map[int64]bool // offsets of the lines that a kill has torn
}

// endTorn ends the line that a killed receiver has left torn, and remembers which one that is. It belongs before the
// receiver's next start: none of the real receivers looks at what is in the file before it appends.
func (r *received) endTorn() error {
	start, torn, err := lines.EndTorn(r.path)
	if err != nil || !torn {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.torn == nil {
		r.torn = map[int64]bool{}
	}
	r.torn[start] = true
	return nil
}

func (r *received) isTorn(start int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.torn[start]
}

// eachLine decodes the complete JSON lines of a file one by one; a line that is still being written is left out. A
// missing file has none. A line that can't be decoded is an error, unless it is known to be torn.
func eachLine[T any](r *received, visit func(T)) error {
	file, err := os.Open(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // read only
	reader := bufio.NewReaderSize(file, 64<<10)
	start := int64(0)
	for n := 1; ; n++ {
		line, err := reader.ReadBytes('\n')
		at := start
		start += int64(len(line))
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var v T
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.UseNumber() // numbers as the receiver wrote them
		err = decoder.Decode(&v)
		if err != nil && r.isTorn(at) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s, line %d: %w: %.300q", r.path, n, err, line)
		}
		visit(v)
	}
}

// readLines collects what eachLine visits.
func readLines[T any](r *received) (all []T, err error) {
	err = eachLine(r, func(v T) { all = append(all, v) })
	return all, err
}

// UnmarshalJSON also gathers syslog-ng's parsed structured data.
func (r *Record) UnmarshalJSON(b []byte) error {
	type plain Record
	if err := json.Unmarshal(b, (*plain)(r)); err != nil {
		return err
	}
	r.In = strings.TrimPrefix(r.In, "s_") // syslog-ng reports its source's name
	var rest struct {
		SData map[string]map[string]any `json:"_SDATA"`
	}
	if err := json.Unmarshal(b, &rest); err != nil {
		return err
	}
	for id, params := range rest.SData {
		for name, value := range params {
			if r.Params == nil {
				r.Params = map[string]string{}
			}
			r.Params[id+"."+name] = fmt.Sprint(value)
		}
	}
	return nil
}

// Param is the value of one SD-PARAM, unescaped, from the record's structured data; ok is false when there is none.
// It reads what RFC 5424 section 6.3 allows: a backslash escapes quote, backslash and bracket alone.
func (r *Record) Param(name string) (value string, ok bool) {
	_, rest, found := strings.Cut(r.SD, " "+name+`="`)
	if !found {
		return "", false
	}
	var b strings.Builder
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '"':
			return b.String(), true
		case c == '\\' && i+1 < len(rest) && strings.IndexByte(`"\]`, rest[i+1]) >= 0:
			i++
			b.WriteByte(rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}
