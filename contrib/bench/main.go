// Command bench measures linuxguard-bridge end to end: signed webhooks in, syslog over TCP and Splunk HEC out, the
// queue on a real disk. In the same run, interleaved, it measures three floors under the same load:
//
//	floor 1  a bare net/http handler that reads the body and checks the HMAC
//	floor 2  the same with a group-committed append and one fdatasync a group to one file
//	floor 3  floor 2 into a file that was filled beforehand, at sectors, so that no sync has the file's size to write
//
// so that a figure says how much the bridge costs beyond what any receiver with its guarantees must pay on the same
// machine in the same minute. Load, sinks and report live in this process, what is measured in child processes.
//
// There are three tables: cost, TLS (-tls) and growth (-growth). A ratio to the floor of the same run, or in the growth
// table to its first row, that is more than 10 % worse than the one last published is named at the end.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"
)

// settings are the command line.
type settings struct {
	bin      string
	dir      string // work files: queue, floor's file; on the disk to measure
	report   string // folder for the report and the profiles
	rounds   int
	duration time.Duration
	conns    []int
	rate     int // requests a second over all connections; 0: closed loop
	body     int // bytes that are added to the documented body
	capacity int // dedupe.capacity
	profile  bool
	shared   bool   // also measure a bridge whose queue is on PostgreSQL
	peer     bool   // also measure an OpenTelemetry Collector
	tls      bool   // the table with TLS instead
	growth   bool   // the table of what grows instead
	baseline string // file of published reports
	publish  bool   // put the report there
	backlog  int    // events queued while the outputs are down; 0: none
	soak     time.Duration

	peerBinary string
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "floor" {
		runFloor(os.Args[2:])
		return
	}
	s, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to clean up
	}
}

func parse(args []string) (*settings, error) {
	s := &settings{}
	var conns string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&s.bin, "bin", "bin/linuxguard-bridge", "the built `program`")
	f.StringVar(&s.dir, "dir", "", "`folder` on the disk to measure; default: a temporary one below .cache")
	f.StringVar(&s.report, "report", ".cache/bench", "`folder` for report.md, report.json and profiles")
	f.IntVar(&s.rounds, "rounds", 5, "rounds; the report shows medians")
	f.DurationVar(&s.duration, "duration", 5*time.Second, "length of one run")
	f.StringVar(&conns, "conns", "1,16,128", "connection counts, comma-separated")
	f.IntVar(&s.rate, "rate", 0, "fixed requests a second instead of a closed loop")
	f.IntVar(&s.body, "body", 0, "`bytes` to add to each body, in its description")
	f.IntVar(&s.capacity, "capacity", 100_000, "dedupe.capacity of the bridge")
	f.BoolVar(&s.shared, "postgres", false, "also measure a bridge with its queue on PostgreSQL, a primary and a synchronous standby on this machine")
	f.BoolVar(&s.peer, "peer", false, "also measure an OpenTelemetry Collector with durable queues; the first time it is compiled, which takes minutes")
	f.BoolVar(&s.profile, "profile", false, "write CPU, heap, mutex and block profiles of the bridge, one run each connection count")
	f.BoolVar(&s.tls, "tls", false, "make the table with TLS instead: three kinds of keys, kept, new and resumed connections")
	f.BoolVar(&s.growth, "growth", false, "make the table of growth instead: backlog, memory of deliveries, outputs, bodies, a peer that never reads")
	f.StringVar(&s.baseline, "baseline", "contrib/bench/results.json", "the `file` of the last published report, to name what got worse; empty: none")
	f.BoolVar(&s.publish, "publish", false, "put the report into the baseline's file")
	f.IntVar(&s.backlog, "backlog", 0, "also queue so many `events` with the outputs down and measure the drain")
	f.DurationVar(&s.soak, "soak", 0, "also run so long at 16 connections and state the slope of RssAnon")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	for _, word := range strings.Split(conns, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n < 1 || n > 10000 {
			return nil, fmt.Errorf("-conns: %q is no count of connections", word)
		}
		s.conns = append(s.conns, n)
	}
	return s, nil
}
