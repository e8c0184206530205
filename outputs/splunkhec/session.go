package splunkhec

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-retryablehttp"
)

// collector is one URL.
type collector struct {
	base                  string // as configured, for people
	scheme                string
	host                  string // for the TLS server name
	event, ack, healthURL string // full URLs

	health     health // guarded by the pool
	unexpected unexpectedAnswers

	mu   sync.Mutex
	free []*lane // with indexer_ack those without a request, the last used one on top; else the one that all share
}

// enter returns the lane for one request. There are as many as requests may be under way.
func (e *collector) enter() *lane {
	e.mu.Lock()
	defer e.mu.Unlock()
	last := len(e.free) - 1
	l := e.free[last]
	if l.out.settings.IndexerAck {
		e.free = e.free[:last]
	}
	return l
}

// exit gives a lane back.
func (e *collector) exit(l *lane) {
	if !l.out.settings.IndexerAck {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.free = append(e.free, l)
}

// lane is a place for requests at one collector. Without indexer_ack a collector has one that all requests share.
// With it there are as many as requests may be under way, each with one connection and one channel of its own, used
// by one request at a time: a channel's ackIds then come in order, and polls go where the events went.
type lane struct {
	out       *Output
	collector *collector

	mu      sync.Mutex
	session *session
}

// session is one stretch of a lane: connections, cookies and, with indexer_ack, a channel. It outlives its connections; after
// max_connection_age the lane begins a new one, while the old one waits for its acknowledgements.
type session struct {
	lane   *lane
	born   time.Time
	jar    http.CookieJar // nil without indexer_ack
	header http.Header    // of every request; the channel's UUID too, with indexer_ack
	acks   *acks          // nil without indexer_ack

	mu     sync.Mutex
	client *retryablehttp.Client // nil: connect anew
}

// begin returns the lane's session for the next events.
func (l *lane) begin() *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.out.env.Now()
	if age := l.out.settings.MaxConnectionAge; l.session != nil && age > 0 && now.Sub(l.session.born) >= age {
		l.session.leave()
		l.session = nil
	}
	if l.session == nil {
		l.session = l.out.newSession(l, now)
	}
	return l.session
}

// abandon makes the next events begin a new session, unless that has happened already.
func (l *lane) abandon(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session == s {
		l.session.leave()
		l.session = nil
	}
}

// close ends the lane's session for good.
func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != nil {
		l.session.disconnect()
	}
}

func (o *Output) newSession(l *lane, now time.Time) *session {
	s := &session{lane: l, born: now, header: http.Header{
		"Authorization": {"Splunk " + o.token.Reveal()},
		"User-Agent":    {"linuxguard-bridge/" + o.env.Version},
	}}
	if o.settings.IndexerAck {
		s.jar, _ = cookiejar.New(nil) // never fails without options
		s.header["X-Splunk-Request-Channel"] = []string{uuid.NewString()}
		s.acks = newAcks(s)
	}
	return s
}

// leave closes the connections that nobody uses; those in use close when they have been idle for idleTimeout.
func (s *session) leave() {
	if s.acks != nil && s.acks.count() > 0 {
		return // its polls go on; it leaves with the last of them
	}
	s.disconnect()
}

// disconnect makes the next request connect anew: names are looked up and files read again.
func (s *session) disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		s.client.HTTPClient.CloseIdleConnections()
		s.client = nil
	}
}

// connect returns the client for one request.
func (s *session) connect() (*retryablehttp.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		c, err := s.lane.out.newHTTPClient(s.lane.collector, s.jar)
		if err != nil {
			return nil, err
		}
		s.client = s.lane.out.newClient(c)
	}
	return s.client, nil
}

// do sends one request and reads the whole answer, no more than limit bytes of it.
func (s *session) do(ctx context.Context, method, url string, b *body, limit int64) (answer, []byte, error) {
	client, err := s.connect()
	if err != nil {
		return answer{}, nil, err
	}
	req, err := s.request(ctx, method, url, b)
	if err != nil {
		return answer{}, nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		closeBody(resp)
		s.disconnect()
		return answer{}, nil, err
	}
	data, err := readAnswer(resp, limit)
	if err != nil {
		s.disconnect()
		return answer{}, nil, fmt.Errorf("HTTP %d, and the answer broke off: %w", resp.StatusCode, err)
	}
	o := s.lane.out
	if resp.TLS != nil {
		o.expiry.SetPeer(s.lane.collector.base, *resp.TLS)
	}
	ans := parseAnswer(resp.StatusCode, resp.Header, data, o.redact, o.env.Now())
	ans.lenient = o.settings.Success == successStatus
	return ans, data, nil
}

func (s *session) request(ctx context.Context, method, url string, b *body) (*retryablehttp.Request, error) {
	var raw any
	if b != nil {
		raw = retryablehttp.ReaderFunc(b.open)
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, method, url, raw)
	if err != nil {
		return nil, err
	}
	req.Header = maps.Clone(s.header)
	if b != nil {
		req.Header["Content-Type"] = s.lane.out.jsonType
		if b.gzipped {
			req.Header["Content-Encoding"] = s.lane.out.gzipEncoding
		}
	}
	return req, nil
}
