package admin

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/bubble"
	"github.com/linuxguard/linuxguard-bridge/bridge/tail"
)

// pipes is a listener without a network: what its other end has not read is not written.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
	close  func()
}

func newPipes() *pipes {
	p := &pipes{accept: make(chan net.Conn), closed: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.closed) })
	return p
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.close(); return nil }

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// tailWorld is a control socket on fake time.
type tailWorld struct {
	hub   tail.Hub
	pipes *pipes
	stop  context.CancelFunc
	ended chan struct{}
}

func newTailWorld(t *testing.T) *tailWorld {
	w := &tailWorld{pipes: newPipes(), ended: make(chan struct{})}
	s := New(Options{Source: nothing{}, Log: slog.New(slog.DiscardHandler), Now: time.Now, Tail: &w.hub})
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	go func() {
		defer close(w.ended)
		if err := s.serve(ctx, w.pipes, s.control, nil); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-w.ended })
	return w
}

type nothing struct{ Source }

func (nothing) Report() Report { return Report{} }

// dial begins a tail and reads the head of its answer, and nothing else.
func (w *tailWorld) dial(t *testing.T) *bufio.Reader {
	t.Helper()
	here, there := net.Pipe()
	t.Cleanup(func() { _ = here.Close() })
	w.pipes.accept <- there
	if _, err := io.WriteString(here, "GET /v1/tail HTTP/1.1\r\nHost: bridge\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(here)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSpace(line) == "" {
			return r
		}
	}
}

// TestFailing is what TestAFailureLetsOthersRun runs. By itself it passes.
func TestFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTailWorld(t)
		w.dial(t)
		w.hub.Tell(&tail.Line{})
		bubble.Fail(t)
	})
}

func TestAFailureLetsOthersRun(t *testing.T) {
	t.Parallel()
	bubble.FailsAlone(t, "TestFailing", "TestRates")
}

// TestAStuckTailIsLetGo: whoever reads nothing is ended by the deadline, and one with nothing to read is not.
func TestAStuckTailIsLetGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTailWorld(t)
		w.dial(t)
		time.Sleep(time.Hour)
		synctest.Wait()
		if !w.hub.Watched() {
			t.Fatal("a tail with nothing to show was ended")
		}
		w.hub.Tell(&tail.Line{})
		time.Sleep(tailWrite - time.Second)
		synctest.Wait()
		if !w.hub.Watched() {
			t.Fatal("it was let go too early")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if w.hub.Watched() {
			t.Error("it still watches")
		}
	})
}

// TestTailsEndWithTheBridge: a stuck one holds up the stop for its last word and no longer, one that reads gets the whole answer.
func TestTailsEndWithTheBridge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTailWorld(t)
		w.dial(t)
		reader := w.dial(t)
		w.hub.Tell(&tail.Line{Seq: 7})
		read := make(chan string)
		go func() {
			text, _ := io.ReadAll(reader)
			read <- string(text)
		}()
		synctest.Wait()
		began := time.Now()
		w.stop()
		<-w.ended
		if took := time.Since(began); took > tailEndTimeout+500*time.Millisecond { // Shutdown looks every 500 ms
			t.Errorf("the stop took %v", took)
		}
		if text := <-read; !strings.Contains(text, `"bridge_seq":7`) || !strings.HasSuffix(text, "\r\n0\r\n\r\n") {
			t.Errorf("the reader got %q", text)
		}
		if w.hub.Watched() {
			t.Error("somebody still watches")
		}
	})
}

// TestTailEnd tells what ended a tail.
func TestTailEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for end, want := range map[string]error{"0\r\n\r\n": ErrStopped, "": ErrCutOff, "20\r\n{\"way\":": ErrCutOff} {
			c := NewClient("pipe", "")
			c.http.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
				here, there := net.Pipe()
				go func() {
					defer there.Close() //nolint:errcheck // a pipe
					_, _ = http.ReadRequest(bufio.NewReader(there))
					_, _ = io.WriteString(there, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+end)
				}()
				return here, nil
			}}
			if err := c.Tail(t.Context(), tail.Filter{}, func(tail.Line) error { return nil }); err != want { //nolint:errorlint // the very one
				t.Errorf("%q: %v, want %v", end, err, want)
			}
		}
	})
}
