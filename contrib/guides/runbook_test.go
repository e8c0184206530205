package guides

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/contrib/contribtest"
)

const root = "../../"

// computed are the messages at warning and error that stand in no call as a literal, by file: each must be in that
// file as a literal of its own, and a file with such a call that isn't named here fails the test.
var computed = map[string][]string{
	"bridge/webhook/refused.go": {"refused ADDRESS: REASON (STATUS)", "delivery quarantined",
		"delivery accepted under a delivery ID that was used for another signal"},
	"bridge/webhook/errorlog.go": {"http server"},
	"bridge/forward/result.go": {"delivery failed, trying again",
		"delivery is blocked until the destination or this output's settings are fixed; retrying slowly, nothing is lost",
		"delivery is stopped until there is room for this output's refused events in the quarantine; nothing is lost",
		"the destination refuses an event for good; it is in the quarantine"},
	"bridge/forward/worker.go":     {"forwarding can't begin, its events wait; trying again"},
	"bridge/forward/read.go":       {"reading the queue failed"},
	"bridge/absence/absence.go":    {"the event about an overdue endpoint was not queued; it is tried again"},
	"bridge/admin/control.go":      {"quarantined event re-sent", "quarantined event dropped"},
	"bridge/admin/losses.go":       {"loss acknowledged", "events are sent again"},
	"cmd/linuxguard-bridge/run.go": {"configuration"},
}

// events that those carry.
var computedEvents = map[string]string{
	"delivery failed, trying again": "output_failing", "forwarding can't begin, its events wait; trying again": "output_failing",
	"delivery is blocked until the destination or this output's settings are fixed; retrying slowly, nothing is lost": "output_blocked",
	"delivery is stopped until there is room for this output's refused events in the quarantine; nothing is lost":     "output_blocked",
	"the destination refuses an event for good; it is in the quarantine":                                              "record_refused",
	"quarantined event re-sent": "quarantine_resent", "quarantined event dropped": "quarantine_dropped",
	"loss acknowledged": "loss_acknowledged", "events are sent again": "queue_replayed",
}

// logLine is one call at warning or error.
type logLine struct{ file, message, event string }

// logLines reads the daemon's source: every call of Warn or Error on a logger, and of LogAttrs and Log with such a level.
func logLines(t *testing.T) []logLine {
	t.Helper()
	var lines []logLine
	for _, dir := range []string{"bridge", "outputs", "cmd"} {
		err := filepath.WalkDir(root+dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
				strings.Contains(path, "bridgetest") || strings.Contains(path, "outputtest") || strings.Contains(path, "bridge/logging/") {
				return err
			}
			lines = append(lines, linesOf(t, path)...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return lines
}

func linesOf(t *testing.T, path string) []logLine {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(path, root)
	var lines []logLine
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, on := selector(call.Fun)
		if (method != "Warn" && method != "Error") || !strings.HasSuffix(strings.ToLower(on), "log") || len(call.Args) == 0 {
			return true
		}
		message, literal := text(call.Args[0])
		if !literal {
			if _, known := computed[name]; !known {
				t.Errorf("%s: a message at warning or error that is no literal: name it in this test", name)
			}
			return true
		}
		lines = append(lines, logLine{name, message, eventOf(call.Args[1:])})
		return true
	})
	return lines
}

// selector returns the method that is called, and the last name of what it is called on: "Warn", "Log" for x.opts.Log.Warn.
func selector(fun ast.Expr) (method, on string) {
	s, ok := fun.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	switch x := s.X.(type) {
	case *ast.Ident:
		return s.Sel.Name, x.Name
	case *ast.SelectorExpr:
		return s.Sel.Name, x.Sel.Name
	}
	return s.Sel.Name, ""
}

func text(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

// eventOf finds the attribute "event": as a pair, or as slog.String("event", "name").
func eventOf(args []ast.Expr) string {
	for i, arg := range args {
		if key, ok := text(arg); ok && key == "event" && i+1 < len(args) {
			event, _ := text(args[i+1])
			return event
		}
		if call, ok := arg.(*ast.CallExpr); ok && len(call.Args) == 2 {
			if key, _ := text(call.Args[0]); key == "event" {
				event, _ := text(call.Args[1])
				return event
			}
		}
	}
	return ""
}

// entries are the runbook's sections by heading, without backquotes.
func entries(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for i, section := range strings.Split("\n"+contribtest.ReadFile(t, "what-to-do-when.md"), "\n### ") {
		if i == 0 {
			continue
		}
		heading, body, _ := strings.Cut(section, "\n")
		body, _, _ = strings.Cut(body, "\n## ")
		if heading = strings.Trim(heading, "`"); found[heading] != "" || len(strings.TrimSpace(body)) < 10 {
			t.Errorf("the entry %q is there twice, or says nothing", heading)
		}
		found[heading] = body
	}
	return found
}

// TestRunbook: every alert and every log line at warning and error has its entry, which names the line's event; and
// there is no entry for what doesn't exist any more.
func TestRunbook(t *testing.T) {
	t.Parallel()
	known, wanted := entries(t), map[string]bool{}
	want := func(heading, from, event string) {
		wanted[heading] = true
		body, found := known[heading]
		if !found {
			t.Errorf("%s: what-to-do-when.md has no entry ### `%s`", from, heading)
		} else if event != "" && !strings.Contains(body, "`"+event+"`") {
			t.Errorf("%s: the entry %q doesn't name the event %s", from, heading, event)
		}
	}
	rules := contribtest.ReadFile(t, "../prometheus/alerts.yml")
	for _, m := range regexp.MustCompile(`(?m)- alert: (\w+)$`).FindAllStringSubmatch(rules, -1) {
		want(m[1], "alerts.yml", "")
		if !strings.Contains(rules, "/contrib/guides/what-to-do-when.md#"+strings.ToLower(m[1])+"\n") {
			t.Errorf("%s has no runbook_url", m[1])
		}
	}
	lines := logLines(t)
	if len(lines) < 30 {
		t.Fatalf("only %d log lines found", len(lines))
	}
	for _, l := range lines {
		want(l.message, l.file, l.event)
	}
	for file, messages := range computed {
		source := contribtest.ReadFile(t, root+file)
		for _, m := range messages {
			event := computedEvents[m]
			if !strings.Contains(source, `"`+m+`"`) && !strings.Contains(source, "//	"+m+"\n") {
				t.Errorf("%s doesn't log %q any more", file, m)
			}
			if strings.HasPrefix(file, "bridge/admin/") {
				m += " without success"
			}
			want(m, file, event)
		}
	}
	for heading := range known {
		if !wanted[heading] {
			t.Errorf("what-to-do-when.md has an entry for %q, which nothing says any more", heading)
		}
	}
}

// TestAnchors: every link within the runbook leads to one of its headings.
func TestAnchors(t *testing.T) {
	t.Parallel()
	page := contribtest.ReadFile(t, "what-to-do-when.md")
	var anchors []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		kept := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		anchors = append(anchors, strings.ReplaceAll(kept, " ", "-"))
	}
	for _, m := range regexp.MustCompile(`\]\(#([^)]*)\)`).FindAllStringSubmatch(page, -1) {
		if !slices.Contains(anchors, m[1]) {
			t.Errorf("no heading #%s", m[1])
		}
	}
}

// TestFindingsHaveEntries: every entry of the runbook that a finding names is there.
func TestFindingsHaveEntries(t *testing.T) {
	t.Parallel()
	runbook := strings.ToLower(contribtest.ReadFile(t, "what-to-do-when.md"))
	n := 0
	for _, file := range []string{"judge.go", "finding.go"} {
		for _, m := range regexp.MustCompile(`"(linuxguard[a-z]+)"`).FindAllStringSubmatch(contribtest.ReadFile(t, root+"bridge/admin/"+file), -1) {
			if n++; !strings.Contains(runbook, "\n### "+m[1]+"\n") {
				t.Errorf("%s names %s, which the runbook hasn't", file, m[1])
			}
		}
	}
	if n < 8 {
		t.Errorf("only %d entries named", n)
	}
}
