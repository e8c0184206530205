package hectest

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Event is one event as Splunk would index it.
type Event struct {
	Time       json.Number     `json:"time"`
	Host       string          `json:"host"`
	Source     string          `json:"source"`
	SourceType string          `json:"sourcetype"`
	Index      string          `json:"index"`
	Event      json.RawMessage `json:"event"`
	Fields     map[string]any  `json:"fields"`

	Seq     uint64    `json:"-"` // bridge_seq, from the event or its fields
	Channel string    `json:"-"`
	At      time.Time `json:"-"`
}

// Splunk is an http.Handler. Set the fields before the first request; the methods may be called at any time.
type Splunk struct {
	Token    string
	Disabled bool          // the token is
	Ack      bool          // the token has indexer acknowledgement
	AckAfter time.Duration // how long an acknowledgement takes
	AckNever bool          // acknowledgements are false for ever
	Indexes  []string      // that the token may use; empty: any
	MaxBytes int           // of a request, decompressed; 0: any
	Cloud    bool          // what is too long is answered as Splunk Cloud does
	Whole    bool          // a batch with a bad event is refused whole, as other receivers do
	Discard  bool          // keep only the numbers of events, for large tests
	// NoNumber leaves invalid-event-number out.
	NoNumber bool
	// Refuse, when not nil, is asked about every event and returns a code to refuse it with, or 0.
	Refuse func(*Event) int
	// Fault, when not nil, sees every request first and returns true when it has answered it.
	Fault func(w http.ResponseWriter, r *http.Request) bool

	mu       sync.Mutex
	events   []Event
	seqs     []uint64
	channels map[string]*channel
	requests []Request
}

// Request is what is remembered of one request.
type Request struct {
	Path, Method, Encoding, Channel, UserAgent string
	Proto                                      string
	Length                                     int64
	Events                                     int // indexed by it
	At                                         time.Time
}

// ServeHTTP implements http.Handler.
func (s *Splunk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, Request{Path: r.URL.Path, Method: r.Method, Encoding: r.Header.Get("Content-Encoding"),
		Channel: channelOf(r), UserAgent: r.UserAgent(), Proto: r.Proto, Length: r.ContentLength, At: time.Now()})
	n := len(s.requests) - 1
	fault := s.Fault
	s.mu.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	switch strings.TrimSuffix(r.URL.Path, "/1.0") {
	case "/services/collector/health":
		Answer(w, 200, 17, "HEC is healthy")
	case "/services/collector", "/services/collector/event":
		s.post(w, r, n)
	case "/services/collector/ack":
		s.poll(w, r)
	default:
		Answer(w, 404, 404, "Not Found")
	}
}

// Answer writes an answer of HEC's. More are further members, such as `"ackId":3`.
func Answer(w http.ResponseWriter, status, code int, text string, more ...string) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	members := append([]string{`"text":` + strconv.Quote(text), `"code":` + strconv.Itoa(code)}, more...)
	_, _ = io.WriteString(w, "{"+strings.Join(members, ",")+"}")
}

func channelOf(r *http.Request) string {
	if c := r.Header.Get("X-Splunk-Request-Channel"); c != "" {
		return c
	}
	return r.URL.Query().Get("channel")
}

// authorised checks method, token and channel.
func (s *Splunk) authorised(w http.ResponseWriter, r *http.Request) bool {
	header := r.Header.Get("Authorization")
	token, splunk := strings.CutPrefix(header, "Splunk ")
	c := channelOf(r)
	switch {
	case r.Method != http.MethodPost:
		Answer(w, 405, 405, "Method Not Allowed")
	case header == "":
		Answer(w, 401, 2, "Token is required")
	case !splunk:
		Answer(w, 401, 3, "Invalid authorization")
	case token != s.Token:
		Answer(w, 403, 4, "Invalid token")
	case s.Disabled:
		Answer(w, 403, 1, "Token disabled")
	case s.Ack && c == "":
		Answer(w, 400, 10, "Data channel is missing")
	case c != "" && (len(c) != 36 || uuid.Validate(c) != nil):
		Answer(w, 400, 11, "Invalid data channel")
	default:
		return true
	}
	return false
}

func (s *Splunk) post(w http.ResponseWriter, r *http.Request, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.authorised(w, r) {
		return
	}
	var reader io.Reader = r.Body
	switch r.Header.Get("Content-Encoding") {
	case "":
	case "gzip":
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			Answer(w, 400, 6, "Invalid data format", `"invalid-event-number":0`)
			return
		}
		reader = z
	default:
		Answer(w, 415, 415, "Unsupported Media Type")
		return
	}
	data, err := io.ReadAll(reader)
	switch {
	case err != nil:
		return
	case len(data) == 0:
		Answer(w, 400, 5, "No data")
		return
	case s.MaxBytes > 0 && len(data) > s.MaxBytes && s.Cloud:
		Answer(w, 400, 6, "Invalid data format", `"invalid-event-number":0`)
		return
	case s.MaxBytes > 0 && len(data) > s.MaxBytes:
		Answer(w, 413, 413, "Request Entity Too Large")
		return
	}
	s.take(w, r, string(data), n)
}

// take indexes the events of one request.
func (s *Splunk) take(w http.ResponseWriter, r *http.Request, data string, n int) {
	dec := json.NewDecoder(strings.NewReader(data))
	var events []Event
	code := 0
	for code == 0 {
		e := Event{Channel: channelOf(r), At: time.Now()}
		if err := dec.Decode(&e); err == io.EOF {
			break
		} else if err != nil {
			code = 6
			break
		}
		if code = s.judge(&e); code == 0 {
			events = append(events, e)
		}
	}
	bad := len(events)
	if code == 7 {
		bad++
	}
	if code != 0 && (s.Whole || code == 7) {
		events = nil
	}
	for i := range events {
		s.seqs = append(s.seqs, events[i].Seq)
	}
	if !s.Discard {
		s.events = append(s.events, events...)
	}
	s.requests[n].Events = len(events)
	switch {
	case code != 0 && s.NoNumber:
		Answer(w, 400, code, "Invalid")
	case code != 0:
		Answer(w, 400, code, "Invalid", `"invalid-event-number":`+strconv.Itoa(bad))
	case s.Ack:
		Answer(w, 200, 0, "Success", `"ackId":`+strconv.FormatUint(s.nextAck(channelOf(r)), 10))
	default:
		Answer(w, 200, 0, "Success")
	}
}

// judge returns the code that e is refused with, or 0.
func (s *Splunk) judge(e *Event) int {
	e.Seq = seqOf(e)
	if s.Refuse != nil {
		if code := s.Refuse(e); code != 0 {
			return code
		}
	}
	for _, v := range e.Fields {
		if _, nested := v.(map[string]any); nested {
			return 15
		}
	}
	switch event := string(e.Event); {
	case len(s.Indexes) > 0 && e.Index != "" && !slices.Contains(s.Indexes, e.Index):
		return 7
	case event == "":
		return 12
	case event == `""` || event == "null":
		return 13
	}
	return 0
}

func seqOf(e *Event) uint64 {
	var object struct {
		Seq uint64 `json:"bridge_seq"`
	}
	_ = json.Unmarshal(e.Event, &object)
	if f, ok := e.Fields["bridge_seq"].(float64); ok && object.Seq == 0 {
		return uint64(f)
	}
	return object.Seq
}
