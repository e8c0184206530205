//go:build demo

package e2e

import (
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"testing"
)

// TestDemo is `make demo-ha`: two bridges behind HAProxy on a primary and its synchronous standby. Under load one bridge is killed, then
// the primary, and a table tells what became of every signal.
func TestDemo(t *testing.T) {
	began := time.Now()
	say := func(format string, args ...any) {
		fmt.Printf("%5.1fs  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	say("starting PostgreSQL (a primary and a synchronous standby), two bridges, HAProxy, rsyslog and a HEC receiver")
	p := newPair(t, "")
	stop := p.load(6)
	defer stop()
	p.more(200, "at first")
	say("%d signals acknowledged; killing bridge-a", p.count())
	p.bridges[0].Kill()
	p.more(200, "with one bridge")
	say("%d signals acknowledged; starting bridge-a again", p.count())
	p.bridges[0].Start()
	p.more(200, "with both")
	say("%d signals acknowledged; killing PostgreSQL's primary", p.count())
	p.primary.Kill()
	if err := p.standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	say("the standby is the primary now; nothing is acknowledged until it has a standby of its own")
	p.rejoin()
	p.more(200, "after the failover")
	stop()
	say("%d signals acknowledged; waiting for the outputs", p.count())
	p.verify()
	p.table(t)
	say("done")
}

// table prints what became of the signals at each collector.
func (p *pair) table(t *testing.T) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "\nCOLLECTOR\tACKNOWLEDGED\tARRIVED\tMISSING\tUNDER TWO NUMBERS\tGAPS IN bridge_seq\tREPEATED")
	last := p.bridges[0].Status().Queue.LastSeq
	for _, c := range []struct {
		name string
		got  sequences
	}{{"rsyslog, TCP", p.fromSyslog()}, {"Splunk HEC", p.fromHEC()}} {
		arrived, twice, repeats, gaps := 0, 0, 0, 0
		for id, seqs := range c.got.byID {
			if _, ok := p.acks[id]; ok {
				arrived++
			}
			if len(seqs) > 1 {
				twice++
			}
			for _, n := range seqs {
				repeats += n - 1
			}
		}
		for seq := uint64(1); seq <= last; seq++ {
			if !c.got.seqs[seq] {
				gaps++
			}
		}
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d of %d\t%d\n", c.name, len(p.acks), arrived, len(p.acks)-arrived, twice, gaps, last, repeats)
	}
	if err := w.Flush(); err != nil {
		t.Error(err)
	}
	fmt.Println("\nA sender that got no answer sent its signal again, to any bridge; a repeat that was acknowledged is the same number. REPEATED records were in\nflight when something was killed: they came twice under one number.")
}
