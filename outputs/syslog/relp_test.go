package syslog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// upTo is 1..n.
func upTo(n int) (seqs []int) {
	for i := range n {
		seqs = append(seqs, i+1)
	}
	return seqs
}

func TestRELPDelivery(t *testing.T) {
	t.Parallel()
	var opened atomic.Value
	p := listenRELP(t, func(s *relpSession, c relpCommand) {
		if c.name == "open" {
			opened.Store(c.data)
		}
		s.accept(c)
	})
	o := start(t, p.table("relp_window = 64"))
	f := &fate{}
	for i := range 20 {
		o.Send(t.Context(), records(1+i*100, 100), f.done()) // batches larger than the window too
	}
	for i, err := range f.wait(t) {
		if err != nil || f.order[i] != i {
			t.Fatalf("batch %d: %v, order %v", i, err, f.order)
		}
	}
	if got := p.got(); !slices.Equal(got, upTo(2000)) {
		t.Errorf("%d records arrived", len(got))
	}
	if got := opened.Load(); got != "relp_version=0\nrelp_software=linuxguard-bridge,1.2.3\ncommands=syslog" {
		t.Errorf("offers %q", got)
	}
	if s := o.Status(); s.Level != outputs.AppAcknowledged || s.State != outputs.StateUp {
		t.Errorf("status %+v", s)
	}
}

func TestRELPOpenThatFails(t *testing.T) {
	t.Parallel()
	answer := func(data string) func(*relpSession, relpCommand) {
		return func(s *relpSession, c relpCommand) { s.rsp(c.txnr, data) }
	}
	for _, c := range []struct {
		name   string
		handle func(*relpSession, relpCommand)
		want   string
	}{
		{"never answered", func(*relpSession, relpCommand) {}, "connect_timeout"},
		{"closed", func(s *relpSession, _ relpCommand) { _ = s.Close() }, "is it a RELP listener"},
		{"refused", answer("500 required command not supported by client"), "required command not supported"},
		{"no version", answer("200 OK\ncommands=syslog"), "names no relp_version"},
		{"a later version", answer("200 OK\nrelp_version=2\ncommands=syslog"), `relp_version "2"`},
		{"no syslog", answer("200 OK\nrelp_version=0\ncommands=eventlog,starttls"), "does not take the command syslog"},
		{"another transaction", func(s *relpSession, _ relpCommand) { s.rsp(2, okOpen) }, "instead of the answer to open"},
		{"serverclose", func(s *relpSession, _ relpCommand) { s.write("0 serverclose 0\n") }, "announced that it closes"},
		{"something else", func(s *relpSession, _ relpCommand) { s.write("220 smtp.example.com ESMTP\r\n") }, "not a RELP frame"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := listenRELP(t, c.handle)
			var more []string
			if c.name == "never answered" { // all others have their time
				more = append(more, `connect_timeout = "300ms"`)
			}
			o := start(t, p.table(more...))
			err := deliver(t, o, records(1, 1))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), p.Addr().String()) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if s := o.Status(); s.State != outputs.StateDown {
				t.Errorf("status %+v", s)
			}
		})
	}
}

// A hint before the answer, version 1, other commands beside syslog and answers in one piece are all in order.
func TestRELPUnusualButRight(t *testing.T) {
	t.Parallel()
	var held []int
	p := listenRELP(t, func(s *relpSession, c relpCommand) {
		switch c.name {
		case "open":
			s.write("0 adviseclose 0\n0 whatever 3 abc\n")
			s.rsp(1, "200 OK\n\nrelp_version=1\ncommands=eventlog,syslog\nunknown=x\nnovalue\n")
		case "syslog":
			if held = append(held, c.txnr); len(held) < 10 {
				return
			}
			var all strings.Builder
			for _, txnr := range slices.Backward(held) { // the last first, all in one segment
				fmt.Fprintf(&all, "%d rsp 6 200 OK\n", txnr)
			}
			held = nil
			s.write(all.String())
		default:
			s.accept(c)
		}
	})
	o := start(t, p.table())
	f := &fate{}
	for i := range 10 {
		o.Send(t.Context(), records(1+i, 1), f.done())
	}
	for i, err := range f.wait(t) {
		if err != nil || f.order[i] != i {
			t.Errorf("batch %d: %v, order %v", i, err, f.order)
		}
	}
}

// TestRELPBreaks ends the session in every way after some answers: what is unanswered fails, in order, and the next
// connection begins with transaction 1 and takes it again.
func TestRELPBreaks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		end  func(*relpSession)
		want string
	}{
		{"serverclose", func(s *relpSession) { s.write("0 serverclose 0\n"); _ = s.Close() }, "announced that it closes"},
		{"close", func(s *relpSession) { _ = s.Close() }, "connection lost"},
		{"reset", func(s *relpSession) { _ = s.Conn.(*net.TCPConn).SetLinger(0); _ = s.Close() }, "connection lost"},
		{"answer to nothing", func(s *relpSession) { s.rsp(9999, "200 OK") }, "transaction 9999, which is not open"},
		{"second answer", func(s *relpSession) { s.rsp(2, "200 OK") }, "transaction 2, which is not open"},
		{"answer to open again", func(s *relpSession) { s.rsp(1, okOpen) }, "transaction 1, which is not open"},
		{"a command", func(s *relpSession) { s.write("7 syslog 1 x\n") }, `sent the command "syslog"`},
		{"no frame", func(s *relpSession) { s.write("7 rsp 6 200 OK and more\n") }, "not a RELP frame"},
		{"no code", func(s *relpSession) { s.rsp(7, "OK") }, "three digits"},
		{"silence", func(*relpSession) {}, "ack_timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := listenRELP(t, func(s *relpSession, cmd relpCommand) {
				switch {
				case s.n > 1 || cmd.txnr < 7:
					s.accept(cmd)
				case cmd.txnr == 7:
					c.end(s)
				}
			})
			var more []string
			if c.name == "silence" { // all others have their time; here the answers that do come must come within this
				more = append(more, `ack_timeout = "3s"`)
			}
			o := start(t, p.table(more...))
			f := &fate{}
			for i := range 4 {
				o.Send(t.Context(), records(1+i*4, 4), f.done()) // transactions 2..5, 6..9, ...
			}
			errs := f.wait(t)
			if errs[0] != nil || !slices.IsSorted(f.order) {
				t.Errorf("first batch: %v, order %v", errs[0], f.order)
			}
			if errs[1] == nil || !strings.Contains(errs[1].Error(), c.want) {
				t.Errorf("second batch: %v, want %q", errs[1], c.want)
			}
			for i, err := range errs {
				if err != nil {
					mustDeliver(t, o, records(1+i*4, 4))
				}
			}
			got := p.got()
			slices.Sort(got)
			if !slices.Equal(slices.Compact(got), upTo(16)) {
				t.Errorf("arrived: %v", got)
			}
		})
	}
}

func TestRELPWindow(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	p := listenRELP(t, func(s *relpSession, c relpCommand) {
		if c.txnr == 9 { // 8 records are there, 7 of them unanswered
			<-release
		}
		s.accept(c)
	})
	o := start(t, p.table("relp_window = 8"))
	f := &fate{}
	finished := make(chan struct{})
	done := f.done()
	go func() {
		defer close(finished)
		o.Send(t.Context(), records(1, 100), done)
	}()
	eventually(t, "8 records arrive", func() bool { return len(p.got()) >= 8 })
	time.Sleep(50 * time.Millisecond) // a mistake would show here; being late can't fail the test
	if n := len(p.got()); n > 15 {
		t.Errorf("%d records arrived with a window of 8 and 7 answers", n)
	}
	select {
	case <-finished:
		t.Error("Send did not wait for the window")
	default:
	}
	close(release)
	if err := f.wait(t)[0]; err != nil {
		t.Error(err)
	}
	<-finished
}

// A server that never reads blocks the writer; the connection is given up within ack_timeout all the same.
func TestRELPBlockedWriter(t *testing.T) {
	t.Parallel()
	block := make(chan struct{})
	p := listenRELP(t, func(s *relpSession, c relpCommand) {
		if c.name == "syslog" {
			<-block
		}
		s.accept(c)
	})
	t.Cleanup(func() { close(block) })
	o := start(t, p.table(`ack_timeout = "300ms"`, `relp_window = 65536`, `max_message_bytes = "64KiB"`))
	batch := records(1, 1000)
	for i := range batch {
		big := *batch[i].Signal
		big.Description = strings.Repeat("x", 60<<10)
		batch[i].Signal = &big
	}
	if err := deliver(t, o, batch); !errors.Is(err, errAckTimeout) {
		t.Errorf("%v", err)
	}
}

func TestRELPRefusal(t *testing.T) {
	t.Parallel()
	t.Run("of one record", func(t *testing.T) {
		t.Parallel()
		p := listenRELP(t, func(s *relpSession, c relpCommand) {
			if sequence(c.data) == 3 {
				s.rsp(c.txnr, "500 not this one")
				return
			}
			s.accept(c)
		})
		o := start(t, p.table())
		f := &fate{}
		o.Send(t.Context(), records(1, 5), f.done())
		o.Send(t.Context(), records(6, 5), f.done())
		errs := f.wait(t)
		var partial *outputs.PartialError
		if !errors.As(errs[0], &partial) || partial.Rest != nil || len(partial.Rejected) != 1 || partial.Rejected[0].Index != 2 ||
			!strings.Contains(partial.Rejected[0].Err.Error(), "500 not this one") {
			t.Fatalf("%v", errs[0])
		}
		if errs[1] != nil {
			t.Errorf("the line did not move on: %v", errs[1])
		}
		tries := 0
		for _, seq := range p.got() {
			if seq == 3 {
				tries++
			}
		}
		if tries != maxRefusals {
			t.Errorf("%d tries, want %d", tries, maxRefusals)
		}
	})
	t.Run("of the last of a batch", func(t *testing.T) {
		t.Parallel()
		p := listenRELP(t, func(s *relpSession, c relpCommand) {
			if sequence(c.data) == 3 {
				s.rsp(c.txnr, "500 not this one")
				return
			}
			s.accept(c)
		})
		o := start(t, p.table())
		first := deliver(t, o, records(1, 3)) // nothing was accepted after it: no proof yet
		var partial *outputs.PartialError
		if first == nil || errors.As(first, &partial) {
			t.Fatalf("first: %v", first)
		}
		if second := deliver(t, o, records(1, 3)); !errors.As(second, &partial) || partial.Rejected[0].Index != 2 {
			t.Errorf("second: %v", second)
		}
	})
	t.Run("of everything", func(t *testing.T) {
		t.Parallel()
		p := listenRELP(t, func(s *relpSession, c relpCommand) {
			if c.name == "syslog" {
				s.rsp(c.txnr, "500 command disabled")
				return
			}
			s.accept(c)
		})
		o := start(t, p.table())
		for range 5 {
			var blocked *outputs.BlockedError
			if err := deliver(t, o, records(1, 3)); !errors.As(err, &blocked) || !strings.Contains(err.Error(), "command disabled") {
				t.Fatalf("%v, want the output blocked", err)
			}
		}
	})
	t.Run("of a record that is alone", func(t *testing.T) {
		t.Parallel()
		p := listenRELP(t, func(s *relpSession, c relpCommand) {
			if c.name == "syslog" {
				s.rsp(c.txnr, "500 no")
				return
			}
			s.accept(c)
		})
		o := start(t, p.table())
		var partial *outputs.PartialError
		for i := range 3 {
			if err := deliver(t, o, records(1, 1)); errors.As(err, &partial) != (i == 2) {
				t.Fatalf("attempt %d: %v", i, err)
			}
		}
		if n := len(p.got()); n != maxRefusalsAlone {
			t.Errorf("%d tries, want %d", n, maxRefusalsAlone)
		}
	})
	t.Run("once, then accepted", func(t *testing.T) {
		t.Parallel()
		var refused atomic.Bool
		p := listenRELP(t, func(s *relpSession, c relpCommand) {
			if sequence(c.data) == 2 && !refused.Swap(true) {
				s.rsp(c.txnr, "500 later")
				return
			}
			s.accept(c)
		})
		o := start(t, p.table())
		mustDeliver(t, o, records(1, 3))
		if got := p.got(); !slices.Equal(got, []int{1, 2, 3, 2}) {
			t.Errorf("arrived: %v", got)
		}
	})
}

func TestRELPClose(t *testing.T) {
	t.Parallel()
	closed := make(chan int, 1)
	answer := make(chan struct{})
	p := listenRELP(t, func(s *relpSession, c relpCommand) {
		switch c.name {
		case "syslog":
			<-answer
		case "close":
			closed <- c.txnr
		}
		s.accept(c)
	})
	o := start(t, p.table())
	f := &fate{}
	o.Send(t.Context(), records(1, 3), f.done())
	time.AfterFunc(20*time.Millisecond, func() { close(answer) })
	if err := o.Close(t.Context()); err != nil { // must wait for the three answers
		t.Error(err)
	}
	if err := f.wait(t)[0]; err != nil {
		t.Error(err)
	}
	if txnr := <-closed; txnr != 5 {
		t.Errorf("close is transaction %d, want 5", txnr)
	}
	if s := o.Status(); s.State != outputs.StateIdle {
		t.Errorf("status %+v", s)
	}
}

func TestRELPCloseDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	p := listenRELP(t, func(s *relpSession, c relpCommand) {
		if c.name == "open" {
			s.accept(c)
		}
	})
	o := start(t, p.table())
	f := &fate{}
	o.Send(t.Context(), records(1, 3), f.done())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := o.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v", err)
	}
	if err := f.wait(t)[0]; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("batch: %v", err)
	}
}

// Transaction numbers end at 999,999,999, and librelp can't go past it: the session is replaced well before.
func TestRELPSessionIsReplacedBeforeItsNumbersEnd(t *testing.T) {
	t.Parallel()
	p := listenRELP(t, nil)
	o := start(t, p.table())
	mustDeliver(t, o, records(1, 3))
	l := o.link.(*relp)
	l.mu.Lock()
	l.base, l.next = maxSessionTxnr+1, maxSessionTxnr+1
	l.mu.Unlock()
	mustDeliver(t, o, records(4, 3))
	eventually(t, "the old session is closed", func() bool { return !l.usable() })
	p.mu.Lock()
	p.problems = slices.DeleteFunc(p.problems, func(s string) bool { return strings.HasPrefix(s, `transaction "900000001 "`) }) // our close, which we renumbered
	p.mu.Unlock()
	if got := p.got(); !slices.Equal(got, upTo(6)) || p.sessions != 2 {
		t.Errorf("%d sessions, arrived %v", p.sessions, got)
	}
}
