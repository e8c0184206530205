package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
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
	return fmt.Sprintf("round %d  %3d conns  %-20s %-28s %8.0f/s  p50 %-8v p99 %-8v  %6.1f us CPU  %6.1f MiB  %7.0f B disk  end-to-end %8.0f/s  lost %d  dup %d  refused %d",
		m.Round, m.Conns, m.Subject, m.Case, m.Accepted, m.P50.Round(10*time.Microsecond), m.P99.Round(10*time.Microsecond), m.CPU,
		float64(m.PeakAnon)/(1<<20), m.DiskBytes, m.EndToEnd, m.Lost, m.Duplicates, m.Refused)
}

// key is what the rounds of one row have in common.
type key struct {
	subject, name string
	conns         int
}

func (m measure) key() key { return key{m.Subject, m.Case, m.Conns} }

// medians returns a measure for each row, in the order of the first round.
func medians(all []measure) []measure {
	var order []key
	rounds := map[key][]measure{}
	for _, m := range all {
		if rounds[m.key()] == nil {
			order = append(order, m.key())
		}
		rounds[m.key()] = append(rounds[m.key()], m)
	}
	rows := make([]measure, len(order))
	for i, k := range order {
		rows[i] = median(rounds[k])
	}
	return rows
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
		Table: rounds[0].Table, Subject: rounds[0].Subject, Case: rounds[0].Case, Conns: rounds[0].Conns,
		Accepted:  mid(func(m measure) float64 { return m.Accepted }),
		P50:       time.Duration(mid(func(m measure) float64 { return float64(m.P50) })),
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
	Table    string
	Command  string
	Date     string
	Machine  string
	Duration time.Duration
	Rounds   int
	Medians  []measure
	Extra    []string
}

func writeReport(s *settings, all []measure, extra []string) error {
	r := report{
		Table: all[0].Table, Command: "go run ./contrib/bench " + strings.Join(os.Args[1:], " "), Date: time.Now().UTC().Format("2006-01-02"),
		Machine: machine(), Duration: s.duration, Rounds: s.rounds, Medians: medians(all), Extra: extra,
	}
	text, err := json.MarshalIndent(struct {
		report
		All []measure
	}{r, all}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.report, "report.json"), text, 0o600); err != nil {
		return err
	}
	table := r.markdown()
	fmt.Print("\n", table)
	if err := os.WriteFile(filepath.Join(s.report, "report.md"), []byte(table), 0o600); err != nil {
		return err
	}
	return r.compare(s)
}

// compare names what got worse since the last published report, and publishes this one when that is wanted.
func (r *report) compare(s *settings) error {
	if s.baseline == "" {
		return nil
	}
	var published []report
	text, err := os.ReadFile(s.baseline)
	if err == nil {
		err = json.Unmarshal(text, &published)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the published reports: %w", err)
	}
	at := slices.IndexFunc(published, func(p report) bool { return p.Table == r.Table })
	if at >= 0 {
		worse := r.worse(&published[at])
		for _, line := range worse {
			fmt.Println("WORSE than on", published[at].Date+":", line)
		}
		if len(worse) == 0 {
			fmt.Printf("No ratio is more than %.0f %% worse than on %s.\n", 100*tolerated, published[at].Date)
		}
	}
	if !s.publish {
		return nil
	}
	if at < 0 {
		published = append(published, *r)
	} else {
		published[at] = *r
	}
	text, err = json.MarshalIndent(published, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(s.baseline, append(text, '\n'), 0o644)
}

// tolerated is how much worse a ratio may be before it is named.
const tolerated = 0.1

// worse compares the ratios of every row that both have.
func (r *report) worse(before *report) (lines []string) {
	for _, now := range r.Medians {
		reference, ok := r.reference(now)
		i := slices.IndexFunc(before.Medians, func(m measure) bool { return m.key() == now.key() })
		if !ok || i < 0 {
			continue
		}
		then := before.Medians[i]
		referenceThen, ok := before.reference(then)
		if !ok {
			continue
		}
		look := func(what string, ratio, was float64) {
			if ratio > was*(1+tolerated) {
				lines = append(lines, fmt.Sprintf("%s, %s at %d connections: %s is %.2f times that of what it is compared with, and was %.2f", r.Table, now.row(), now.Conns, what, ratio, was))
			}
		}
		look("time per event", reference.Accepted/now.Accepted, referenceThen.Accepted/then.Accepted)
		look("CPU per event", now.CPU/reference.CPU, then.CPU/referenceThen.CPU)
		look("ack p99", float64(now.P99)/float64(reference.P99), float64(then.P99)/float64(referenceThen.P99))
	}
	return lines
}

// reference is what a row is compared with: floor 2 under the same load, in the growth table the first row. Floors are compared with nothing.
func (r *report) reference(m measure) (measure, bool) {
	if strings.HasPrefix(m.Subject, "floor") {
		return measure{}, false
	}
	if r.Table == growthTable {
		return r.Medians[0], m.key() != r.Medians[0].key()
	}
	i := slices.IndexFunc(r.Medians, func(f measure) bool { return f.key() == key{string(floor2), m.Case, m.Conns} })
	if i < 0 {
		return measure{}, false
	}
	return r.Medians[i], true
}

func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "`%s`, %s, %s; medians of %d rounds of %v. In brackets: the ratio to %s.\n\n", r.Command, r.Date, r.Machine, r.Rounds, r.Duration,
		map[bool]string{true: "the first row", false: "floor 2"}[r.Table == growthTable])
	b.WriteString("| connections | | accepted/s | ack p50 | p99 | p99.9 | CPU per event | RssAnon, peak | disk per event | to all outputs | READY | lost | repeated |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, m := range r.Medians {
		reference, compared := r.reference(m)
		ratio := func(v, f float64) string {
			if !compared || f == 0 {
				return ""
			}
			return fmt.Sprintf(" (%.2f)", v/f)
		}
		took := func(v, f time.Duration) string {
			return v.Round(10*time.Microsecond).String() + ratio(float64(v), float64(f))
		}
		fmt.Fprintf(&b, "| %d | %s | %.0f%s | %s | %s | %s | %.1f µs%s | %.1f MiB%s | %.0f B%s |", m.Conns, m.row(),
			m.Accepted, ratio(m.Accepted, reference.Accepted), took(m.P50, reference.P50), took(m.P99, reference.P99), took(m.P999, reference.P999),
			m.CPU, ratio(m.CPU, reference.CPU), float64(m.PeakAnon)/(1<<20), ratio(float64(m.PeakAnon), float64(reference.PeakAnon)),
			m.DiskBytes, ratio(m.DiskBytes, reference.DiskBytes))
		if strings.HasPrefix(m.Subject, "floor") {
			b.WriteString(" | | | |\n")
			continue
		}
		fmt.Fprintf(&b, " %.0f/s | %v | %d | %d |\n", m.EndToEnd, m.ToReady.Round(time.Millisecond), m.Lost, m.Duplicates)
	}
	for _, line := range r.Extra {
		b.WriteString("\n" + line + "\n")
	}
	return b.String()
}

// row is what a row is called.
func (m measure) row() string {
	name := m.Case
	if name == "" {
		name = m.Subject
	} else if m.Table == tlsTable {
		name += ": " + m.Subject
	}
	switch {
	case strings.HasPrefix(m.Subject, "floor"):
		return name
	case m.Subject == string(peerOne):
		name += "** (checks no signature, recognises no duplicate)"
	default:
		name += "**"
	}
	return "**" + name
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
