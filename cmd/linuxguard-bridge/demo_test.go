package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

func testGlobals(t *testing.T) (g *globals, stdout, stderr *bytes.Buffer) {
	t.Helper()
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	return &globals{Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr, Getenv: func(string) string { return "" }, Now: time.Now}, stdout, stderr
}

func TestDemo(t *testing.T) {
	t.Parallel()
	g, stdout, stderr := testGlobals(t)
	if code := execute(t.Context(), g, []string{"demo"}); code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	text := stdout.String()
	for _, want := range []string{"401 Unauthorized", "200 OK duplicate", "severity 5, critical", "As it should be"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if got := strings.Count(text, "\n  <1"); got != 5 {
		t.Errorf("%d syslog records are shown", got)
	}
	if got := strings.Count(text, "\n  {"); got != 5 {
		t.Errorf("%d HEC events are shown", got)
	}
	_, rest, _ := strings.Cut(text, "secrets in ")
	dir, _, _ := strings.Cut(rest, ".\n")
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%q is left behind: %v", dir, err)
	}
}

// TestDemoJudges makes results that are wrong in one respect each: judgeDemo must object to every one.
func TestDemoJudges(t *testing.T) {
	t.Parallel()
	signer := &sender.Signer{Secret: "s", Now: time.Now}
	good := func() ([]demoResult, demoRecords) {
		var results []demoResult
		var records demoRecords
		for i, p := range demoDeliveries(signer, time.Now()) {
			answer := sender.Answer{Status: 200, Outcome: "accepted"}
			switch p.want {
			case wantDuplicate:
				answer.Outcome = "duplicate"
			case wantRefused:
				answer = sender.Answer{Status: 401, Outcome: "refused"}
			}
			s := sent{plannedDelivery: p.plannedDelivery, answer: answer}
			if p.want == wantAccepted {
				id, _ := s.signal()
				r := demoRecord{signalID: id, bridgeSeq: uint64(i) + 1}
				records.syslog, records.hec = append(records.syslog, r), append(records.hec, r)
			}
			results = append(results, demoResult{p.label, s})
		}
		return results, records
	}
	if err := judgeDemo(good()); err != nil {
		t.Fatalf("the good case: %v", err)
	}
	for name, spoil := range map[string]func([]demoResult, *demoRecords){
		"an acceptance refused":   func(r []demoResult, _ *demoRecords) { r[0].answer.Status = 503 },
		"a duplicate accepted":    func(r []demoResult, _ *demoRecords) { r[5].answer.Outcome = "accepted" },
		"a forged one accepted":   func(r []demoResult, _ *demoRecords) { r[6].answer.Status = 200 },
		"a record missing":        func(_ []demoResult, all *demoRecords) { all.hec = all.hec[1:] },
		"a record twice":          func(_ []demoResult, all *demoRecords) { all.syslog = append(all.syslog, all.syslog[0]) },
		"a gap":                   func(_ []demoResult, all *demoRecords) { all.hec[4].bridgeSeq = 6 },
		"the forged in an output": func(r []demoResult, all *demoRecords) { id, _ := r[6].signal(); all.syslog[0].signalID = id },
	} {
		results, records := good()
		spoil(results, &records)
		if judgeDemo(results, records) == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
}
