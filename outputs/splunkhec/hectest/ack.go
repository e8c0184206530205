package hectest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// channel is the acknowledgement state of one channel.
type channel struct {
	next uint64
	due  map[uint64]time.Time
	used time.Time
}

// idle is inputs.conf's maxIdleTime.
const idle = 10 * time.Minute

func (s *Splunk) nextAck(name string) uint64 {
	now := time.Now()
	if s.channels == nil {
		s.channels = map[string]*channel{}
	}
	c := s.channels[name]
	if c == nil || now.Sub(c.used) > idle {
		c = &channel{due: map[uint64]time.Time{}}
		s.channels[name] = c
	}
	id := c.next
	c.next++
	c.used = now
	c.due[id] = now.Add(s.AckAfter)
	return id
}

func (s *Splunk) poll(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.Ack && r.Header.Get("Authorization") == "Splunk "+s.Token {
		Answer(w, 400, 14, "ACK is disabled")
		return
	}
	if !s.authorised(w, r) {
		return
	}
	var ask struct{ Acks []uint64 }
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
		Answer(w, 400, 6, "Invalid data format")
		return
	}
	found := map[string]bool{}
	for _, id := range ask.Acks {
		found[strconv.FormatUint(id, 10)] = s.acked(channelOf(r), id)
	}
	text, _ := json.Marshal(map[string]any{"acks": found})
	_, _ = w.Write(text)
}

// acked tells a status once and forgets it.
func (s *Splunk) acked(name string, id uint64) bool {
	c := s.channels[name]
	if c == nil {
		return false
	}
	c.used = time.Now()
	due, known := c.due[id]
	if !known || s.AckNever || time.Now().Before(due) {
		return false
	}
	delete(c.due, id)
	return true
}
