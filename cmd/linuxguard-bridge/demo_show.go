package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"text/tabwriter"
)

// demoRecord is one record as an output's file holds it.
type demoRecord struct {
	signalID  string
	bridgeSeq uint64
	text      string
}

// demoRecords is what both outputs wrote.
type demoRecords struct{ syslog, hec []demoRecord }

func readDemoRecords(dir string) (demoRecords, error) {
	var all demoRecords
	var err error
	if all.syslog, err = readDemoFile(filepath.Join(dir, "syslog.log"), parseDemoSyslog); err != nil {
		return all, err
	}
	all.hec, err = readDemoFile(filepath.Join(dir, "splunk.ndjson"), parseDemoHEC)
	return all, err
}

func readDemoFile(path string, parse func(line []byte) (demoRecord, error)) ([]demoRecord, error) {
	text, err := os.ReadFile(path) //nolint:gosec // in our own temporary folder
	if err != nil {
		return nil, fmt.Errorf("read back what an output wrote: %w", err)
	}
	var all []demoRecord
	for line := range bytes.Lines(text) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		record, err := parse(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %s", path, err, line)
		}
		record.text = string(line)
		all = append(all, record)
	}
	return all, nil
}

// parseDemoSyslog finds two SD-PARAMs. The samples' values need no escaping.
func parseDemoSyslog(line []byte) (r demoRecord, err error) {
	id := regexp.MustCompile(` signal_id="([^"]+)"`).FindSubmatch(line)
	seq := regexp.MustCompile(` bridge_seq="(\d+)"`).FindSubmatch(line)
	if id == nil || seq == nil {
		return r, errors.New("a syslog record without signal_id or bridge_seq")
	}
	r.signalID = string(id[1])
	r.bridgeSeq, err = strconv.ParseUint(string(seq[1]), 10, 64)
	return r, err
}

func parseDemoHEC(line []byte) (demoRecord, error) {
	var hec struct {
		Event struct {
			SignalID  string      `json:"signal_id"`
			BridgeSeq json.Number `json:"bridge_seq"`
		} `json:"event"`
	}
	if err := json.Unmarshal(line, &hec); err != nil {
		return demoRecord{}, err
	}
	seq, err := strconv.ParseUint(hec.Event.BridgeSeq.String(), 10, 64)
	if err != nil || hec.Event.SignalID == "" {
		return demoRecord{}, errors.New("a HEC record without signal_id or bridge_seq")
	}
	return demoRecord{signalID: hec.Event.SignalID, bridgeSeq: seq}, nil
}

func matching(all []demoRecord, signalID string) []demoRecord {
	var found []demoRecord
	for _, r := range all {
		if r.signalID == signalID {
			found = append(found, r)
		}
	}
	return found
}

// writeDemo prints the table, then every record as it stands in the outputs' files.
func writeDemo(w io.Writer, results []demoResult, records demoRecords) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "SENT\tSIGNAL\tANSWER\tITS SYSLOG RECORDS\tITS HEC EVENTS")
	for _, r := range results {
		id, _ := r.signal()
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\n", r.label, id, r.answer, len(matching(records.syslog, id)), len(matching(records.hec, id)))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, part := range []struct {
		title   string
		records []demoRecord
	}{
		{"Syslog (RFC 5424), read back from the output's file:", records.syslog},
		{"Splunk HEC, read back from the output's file:", records.hec},
	} {
		if _, err := fmt.Fprintf(w, "\n%s\n", part.title); err != nil {
			return err
		}
		for _, r := range part.records {
			if _, err := fmt.Fprintf(w, "  %s\n", r.text); err != nil {
				return err
			}
		}
	}
	return nil
}

// judgeDemo says everything that is not as it should be.
func judgeDemo(results []demoResult, records demoRecords) error {
	var errs []error
	accepted := 0
	for _, r := range results {
		id, _ := r.signal()
		if !r.asExpected() {
			errs = append(errs, fmt.Errorf("%s: not the expected answer: %s", r.label, r.answer))
		}
		want := 1 // the duplicate's first
		if r.want == wantRefused {
			want = 0
		}
		if r.want == wantAccepted {
			accepted++
		}
		if s, h := len(matching(records.syslog, id)), len(matching(records.hec, id)); s != want || h != want {
			errs = append(errs, fmt.Errorf("%s: %d syslog records and %d HEC events instead of %d each", r.label, s, h, want))
		}
	}
	for name, all := range map[string][]demoRecord{"syslog": records.syslog, "HEC": records.hec} {
		if !gapFree(all, accepted) {
			errs = append(errs, fmt.Errorf("the %s output's bridge_seq is not 1 to %d without a gap", name, accepted))
		}
	}
	return errors.Join(errs...)
}

func gapFree(all []demoRecord, n int) bool {
	var seqs []uint64
	for _, r := range all {
		seqs = append(seqs, r.bridgeSeq)
	}
	slices.Sort(seqs)
	for i, seq := range seqs {
		if seq != uint64(i)+1 {
			return false
		}
	}
	return len(seqs) == n
}
