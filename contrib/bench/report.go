package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// line is one measure for the terminal.
func (m measure) line() string {
	return fmt.Sprintf("round %d  %3d conns  %-7s  %8.0f/s  p50 %-8v p99 %-8v  %5.1f us CPU  %5.1f MiB  %6.0f B disk  end-to-end %8.0f/s  lost %d  dup %d  refused %d",
		m.Round, m.Conns, m.Subject, m.Accepted, m.P50.Round(10*time.Microsecond), m.P99.Round(10*time.Microsecond), m.CPU,
		float64(m.PeakAnon)/(1<<20), m.DiskBytes, m.EndToEnd, m.Lost, m.Duplicates, m.Refused)
}

// median returns, of every figure, the median over the rounds; counts of what must not happen are added up.
func median(rounds []measure) measure {
	mid := func(get func(measure) float64) float64 {
		v := make([]float64, len(rounds))
		for i, m := range rounds {
			v[i] = get(m)
		}
		return middle(v)
	}
	m := measure{
		Subject: rounds[0].Subject, Conns: rounds[0].Conns,
		Accepted:  mid(func(m measure) float64 { return m.Accepted }),
		P50:       time.Duration(mid(func(m measure) float64 { return float64(m.P50) })),
		P90:       time.Duration(mid(func(m measure) float64 { return float64(m.P90) })),
		P99:       time.Duration(mid(func(m measure) float64 { return float64(m.P99) })),
		P999:      time.Duration(mid(func(m measure) float64 { return float64(m.P999) })),
		CPU:       mid(func(m measure) float64 { return m.CPU }),
		PeakAnon:  int64(mid(func(m measure) float64 { return float64(m.PeakAnon) })),
		DiskBytes: mid(func(m measure) float64 { return m.DiskBytes }),
		EndToEnd:  mid(func(m measure) float64 { return m.EndToEnd }),
		ToReady:   time.Duration(mid(func(m measure) float64 { return float64(m.ToReady) })),
	}
	for _, r := range rounds {
		m.Lost += r.Lost
		m.Duplicates += r.Duplicates
		m.Refused += r.Refused
		m.Failed += r.Failed
	}
	return m
}

// middle is the median.
func middle(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// report is report.json.
type report struct {
	Date     string
	Machine  string
	Duration time.Duration
	Rounds   int
	Medians  []measure
	All      []measure
	Extra    []string
}

func writeReport(s *settings, all []measure, extra []string) error {
	r := report{Date: time.Now().UTC().Format("2006-01-02"), Machine: machine(), Duration: s.duration, Rounds: s.rounds, All: all, Extra: extra}
	for _, conns := range s.conns {
		for _, subject := range s.subjects() {
			var rounds []measure
			for _, m := range all {
				if m.Conns == conns && m.Subject == subject {
					rounds = append(rounds, m)
				}
			}
			if len(rounds) > 0 {
				r.Medians = append(r.Medians, median(rounds))
			}
		}
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.report, "report.json"), text, 0o600); err != nil {
		return err
	}
	table := r.markdown()
	fmt.Print("\n", table)
	return os.WriteFile(filepath.Join(s.report, "report.md"), []byte(table), 0o600)
}

func (r report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s; medians of %d rounds of %v. In brackets: the ratio to floor 2.\n\n", r.Date, r.Machine, r.Rounds, r.Duration)
	b.WriteString("| connections | subject | accepted/s | ack p50 | p90 | p99 | p99.9 | CPU us/event | end-to-end/s | peak RssAnon MiB | disk B/event | lost | duplicates |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	var floor measure
	for _, m := range r.Medians {
		if m.Subject == "floor 2" {
			floor = m
		}
		if m.Subject != bridgeSubject && m.Subject != sharedSubject {
			floorRow(&b, m)
			continue
		}
		ratio := func(v, f float64) string { return fmt.Sprintf(" (%.2f)", v/f) }
		took := func(v, f time.Duration) string {
			return v.Round(10*time.Microsecond).String() + ratio(float64(v), float64(f))
		}
		fmt.Fprintf(&b, "| %d | **%s** | %.0f%s | %s | %s | %s | %s | %.1f%s | %.0f%s | %.1f%s | %.0f%s | %d | %d |\n", m.Conns, m.Subject,
			m.Accepted, ratio(m.Accepted, floor.Accepted), took(m.P50, floor.P50), took(m.P90, floor.P90), took(m.P99, floor.P99), took(m.P999, floor.P999),
			m.CPU, ratio(m.CPU, floor.CPU), m.EndToEnd, ratio(m.EndToEnd, floor.Accepted),
			float64(m.PeakAnon)/(1<<20), ratio(float64(m.PeakAnon), float64(floor.PeakAnon)), m.DiskBytes, ratio(m.DiskBytes, floor.DiskBytes), m.Lost, m.Duplicates)
	}
	for _, line := range r.Extra {
		b.WriteString("\n" + line + "\n")
	}
	return b.String()
}

func floorRow(b *strings.Builder, m measure) {
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	fmt.Fprintf(b, "| %d | %s | %.0f | %v | %v | %v | %v | %.1f | | %.1f | %.0f | | |\n", m.Conns, m.Subject, m.Accepted,
		round(m.P50), round(m.P90), round(m.P99), round(m.P999), m.CPU, float64(m.PeakAnon)/(1<<20), m.DiskBytes)
}

// machine describes what was measured on, without naming the host.
func machine() string {
	var u unix.Utsname
	kernel := "unknown kernel"
	if unix.Uname(&u) == nil {
		release, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
		kernel = "Linux " + release
	}
	cpu := "unknown CPU"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d cores of %s, %s, %s", runtime.NumCPU(), cpu, kernel, runtime.Version())
}
