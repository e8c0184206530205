package syslog

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/survived"
)

// outageSize is how many records an outage test sends, and how often the daemon is struck meanwhile.
func outageSize() (n, strikes int) {
	if os.Getenv("LINUXGUARD_LONG") == "" {
		return 4_000, 2
	}
	return 50_000, 10
}

// durable makes rsyslog write a message before it answers: with its default queue in memory, a SIGKILL loses what RELP
// has confirmed, and no sender can know.
const durable = `main_queue(queue.type="Direct")`

// tally is what arrived of records 1 to n.
type tally struct {
	lost, extra int
	stretches   int // of lost ones
}

func count(got []counterparts.Record, n int) tally {
	seen := make([]int, n+1)
	for i := range got {
		text, ok := got[i].Params["linuxguard@32473.bridge_seq"]
		if !ok {
			text, _ = got[i].Param("bridge_seq")
		}
		if seq, err := strconv.Atoi(text); err == nil && seq <= n {
			seen[seq]++
		}
	}
	var c tally
	for seq := 1; seq <= n; seq++ {
		switch {
		case seen[seq] == 0:
			c.lost++
			if seen[seq-1] > 0 || seq == 1 {
				c.stretches++
			}
		default:
			c.extra += seen[seq] - 1
		}
	}
	return c
}

// complete waits until the daemon has read all that o has sent, and then until it writes nothing more.
func settle(t *testing.T, d *counterparts.Daemon, o *Output, n int) tally {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := o.Close(ctx); err != nil {
		t.Fatal(err)
	}
	d.WaitIdle(patience)
	last := int64(-1)
	eventually(t, "the daemon has written what it has", func() bool {
		info, err := os.Stat(filepath.Join(d.Dir, "received.ndjson"))
		if err != nil || info.Size() != last {
			if err == nil {
				last = info.Size()
			}
			time.Sleep(500 * time.Millisecond)
			return false
		}
		return true
	})
	return count(d.Records(), n)
}

type outage struct {
	name   string
	start  func(*testing.T) *counterparts.Daemon
	inputs []string
}

func outages() []outage {
	return []outage{
		{"rsyslog", func(t *testing.T) *counterparts.Daemon {
			return counterparts.Rsyslog(t, counterparts.RsyslogOptions{Extra: durable})
		}, []string{"relp", "relps", "tcp", "tls"}},
		{"syslog-ng", func(t *testing.T) *counterparts.Daemon {
			return counterparts.SyslogNG(t, counterparts.SyslogNGOptions{})
		}, []string{"tcp", "tls"}},
	}
}

// strike runs a pump against a daemon that is struck several times on the way.
func strike(t *testing.T, d *counterparts.Daemon, input string, pace int, blow func(), more ...string) (tally, *pump) {
	t.Helper()
	n, strikes := outageSize()
	o := start(t, table(d, input, more...))
	p := newPump(o, n)
	p.pace = pace
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	finished := p.start(ctx)
	for i := range strikes {
		p.waitProgress(t, (i+1)*n/(strikes+1))
		blow()
	}
	<-finished
	if p.progress() != n {
		t.Fatalf("%d of %d records confirmed; failures: %q", p.progress(), n, p.failures)
	}
	return settle(t, d, o, n), p
}

// TestKilledUnderLoad kills the daemons by SIGKILL under load and starts them again. Over RELP nothing may be lost, and
// no more repeated than the window holds. Over TCP and TLS the only loss is what the killed process had not read though
// its kernel had acknowledged it longer than reset_grace ago: one stretch of records a kill, and one more of those that the
// dying process's listening socket still took. README.md has the figures of the long form.
func TestKilledUnderLoad(t *testing.T) {
	for _, c := range outages() {
		for _, input := range c.inputs {
			if input == "relp" || input == "relps" {
				t.Run(c.name+"/"+input, func(t *testing.T) { killed(t, c, input, 0, "") })
				continue
			}
			for _, load := range []struct {
				name  string
				pace  int // records/s; 0: as many as go
				grace string
			}{{"paced", 5000, "100ms"}, {"paced without grace", 5000, "0s"}, {"saturated", 0, "100ms"}, {"saturated without grace", 0, "0s"}} {
				if load.pace > 0 && load.grace == "0s" && os.Getenv("LINUXGUARD_LONG") == "" {
					continue
				}
				t.Run(c.name+"/"+input+"/"+load.name, func(t *testing.T) {
					if load.pace > 0 && os.Getenv("LINUXGUARD_LONG") == "" { // it mostly waits
						t.Parallel()
					}
					killed(t, c, input, load.pace, fmt.Sprintf("reset_grace = %q", load.grace))
				})
			}
		}
	}
}

func killed(t *testing.T, c outage, input string, pace int, more string) {
	d := c.start(t)
	n, strikes := outageSize()
	got, p := strike(t, d, input, pace, func() { d.Kill(); d.Start() }, more)
	t.Logf("%d records, %d kills: %d lost in %d stretches, %d repeated", n, strikes, got.lost, got.stretches, got.extra)
	if more == "" {
		if got.lost > 0 {
			t.Errorf("lost %d over RELP", got.lost)
		}
	} else if got.stretches > 2*strikes {
		t.Errorf("%d stretches lost with %d kills: something else than the kills loses records", got.stretches, strikes)
	}
	if most := strikes * p.out.Batching().MaxInFlight; got.extra > most {
		t.Errorf("%d repeated, more than %d", got.extra, most)
	}
	row := survived.Row{What: "a receiver is killed under load, over " + input, Times: strikes, Acknowledged: n, Lost: got.lost, Remark: fmt.Sprintf("%d repeated", got.extra)}
	if more != "" {
		row.Remark += "; TCP acknowledges what the receiver's kernel has, not what it has read"
	}
	survived.Note(t, row)
}

// TestStoppedUnderLoad restarts the daemons by SIGTERM.
func TestStoppedUnderLoad(t *testing.T) {
	for _, c := range outages() {
		for _, input := range c.inputs {
			t.Run(c.name+"/"+input, func(t *testing.T) {
				d := c.start(t)
				n, strikes := outageSize()
				got, p := strike(t, d, input, 0, func() { d.Stop(); d.Start() })
				t.Logf("%d records, %d restarts: %d lost in %d stretches, %d repeated", n, strikes, got.lost, got.stretches, got.extra)
				if got.lost > 0 && (input == "relp" || input == "relps") || got.stretches > 2*strikes {
					t.Errorf("lost %d, failures: %q", got.lost, p.failures)
				}
			})
		}
	}
}

// TestPausedPeerLosesNothing stops the daemon's process in its tracks, longer than ack_timeout: connections stay half
// open, buffers fill, and all of it is read in the end.
func TestPausedPeerLosesNothing(t *testing.T) {
	for _, c := range outages() {
		for _, input := range c.inputs {
			t.Run(c.name+"/"+input, func(t *testing.T) {
				t.Parallel()
				d := c.start(t)
				n, _ := outageSize()
				got, p := strike(t, d, input, 0, func() {
					d.Pause()
					time.Sleep(700 * time.Millisecond) // longer than ack_timeout: the connections are left half open
					d.Resume()
				}, `ack_timeout = "500ms"`)
				t.Logf("%s over %s: %d lost, %d repeated, failures %d", c.name, input, got.lost, got.extra, len(p.failures))
				if got.lost > 0 { // syslog-ng may still hold what it has read
					eventually(t, fmt.Sprintf("%d records arrive, failures: %q", got.lost, p.failures), func() bool { return count(d.Records(), n).lost == 0 })
				}
			})
		}
	}
}
