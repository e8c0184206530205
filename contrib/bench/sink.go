package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
)

// idSet counts signals by number, without a lock.
type idSet struct {
	once  []atomic.Uint64 // bit set: seen
	count atomic.Int64    // distinct
	again atomic.Int64    // seen more than once
}

func newIDSet() *idSet { return &idSet{once: make([]atomic.Uint64, maxEvents/64+1)} }

func (s *idSet) add(id int64) {
	if id < 0 || id >= maxEvents {
		return
	}
	bit := uint64(1) << (id % 64)
	if s.once[id/64].Or(bit)&bit != 0 {
		s.again.Add(1)
		return
	}
	s.count.Add(1)
}

// missing counts the ids that are in s and not in other.
func (s *idSet) missing(other *idSet) int {
	n := 0
	for i := range s.once {
		for lost := s.once[i].Load() &^ other.once[i].Load(); lost != 0; lost &= lost - 1 {
			n++
		}
	}
	return n
}

// idName stands before each signal's number once: signal_id="sig_... in structured data, "signal_id":"sig_... in JSON,
// and with its quotes escaped in JSON within JSON.
var idName, idPrefix = []byte("signal_id"), []byte("sig_")

// addAll notes every signal_id in text.
func (s *idSet) addAll(text []byte) {
	for {
		i := bytes.Index(text, idName)
		if i < 0 {
			return
		}
		text = text[i+len(idName):]
		at := bytes.Index(text[:min(len(text), 12)], idPrefix)
		if at < 0 || len(text) < at+len(idPrefix)+idDigits {
			continue
		}
		var id int64
		for _, c := range text[at+len(idPrefix) : at+len(idPrefix)+idDigits] {
			id = id*10 + int64(c-'0')
		}
		s.add(id)
		text = text[at+len(idPrefix)+idDigits:]
	}
}

// sinks are the two receivers: they read everything and note the ids.
type sinks struct {
	syslog, hec   *idSet
	syslogAddr    string
	hecURL        string
	bytes         atomic.Int64 // as received, both
	listener      net.Listener
	server        *http.Server
	gunzip, texts sync.Pool
}

func startSinks() (*sinks, error) {
	s := &sinks{syslog: newIDSet(), hec: newIDSet()}
	var err error
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	s.syslogAddr = s.listener.Addr().String()
	go s.acceptSyslog()
	hec, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.hecURL = "http://" + hec.Addr().String()
	s.server = &http.Server{Handler: http.HandlerFunc(s.event)}
	go func() { _ = s.server.Serve(hec) }()
	return s, nil
}

func (s *sinks) close() {
	_ = s.listener.Close()
	_ = s.server.Close()
}

func (s *sinks) acceptSyslog() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close() //nolint:errcheck // read only
			_ = s.readSyslog(conn)
		}()
	}
}

// readSyslog takes octet-counted frames apart.
func (s *sinks) readSyslog(conn net.Conn) error {
	in := bufio.NewReaderSize(conn, 256<<10)
	for {
		word, err := in.ReadSlice(' ')
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(word[:len(word)-1]))
		if err != nil || n < 1 || n > 200<<10 {
			return fmt.Errorf("bad frame length %q", word)
		}
		frame, err := in.Peek(n)
		if err != nil {
			return err
		}
		s.syslog.addAll(frame)
		s.bytes.Add(int64(n))
		_, _ = in.Discard(n)
	}
}

func (s *sinks) event(w http.ResponseWriter, r *http.Request) {
	if err := s.readEvents(r); err != nil {
		http.Error(w, `{"text":"Invalid data format","code":6}`, http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"text":"Success","code":0}`)
}

func (s *sinks) readEvents(r *http.Request) error {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, _ := s.gunzip.Get().(*gzip.Reader)
		if z == nil {
			z = new(gzip.Reader)
		}
		defer s.gunzip.Put(z)
		if err := z.Reset(r.Body); err != nil {
			return err
		}
		body = z
	}
	text, _ := s.texts.Get().(*bytes.Buffer)
	if text == nil {
		text = new(bytes.Buffer)
	}
	defer s.texts.Put(text)
	text.Reset()
	if _, err := text.ReadFrom(body); err != nil {
		return err
	}
	if text.Len() == 0 {
		return errors.New("no data")
	}
	s.bytes.Add(max(r.ContentLength, 0))
	s.hec.addAll(text.Bytes())
	return nil
}
