package grafana

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/contrib/contribtest"
)

type dashboard struct {
	UID         string
	Panels      []panel
	Templating  struct{ List []struct{ Name string } }
	Annotations struct{ List []struct{ Expr string } }
}

type panel struct {
	ID      int
	Type    string
	Title   string
	GridPos struct{ X, Y, W, H int }
	Targets []struct{ Expr, RefID string }
}

func load(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(contribtest.ReadFile(t, "linuxguard-bridge.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d dashboard) queries() []string {
	var all []string
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all = append(all, target.Expr)
		}
	}
	for _, a := range d.Annotations.List {
		all = append(all, a.Expr)
	}
	return all
}

// TestQueries holds every query to a real bridge's metrics, and has promtool read it.
func TestQueries(t *testing.T) {
	t.Parallel()
	queries := load(t).queries()
	if len(queries) < 30 {
		t.Fatalf("only %d queries", len(queries))
	}
	scrape := contribtest.Exported(t)
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for i, q := range queries {
		contribtest.CheckQuery(t, scrape, q)
		fmt.Fprintf(&rules, "  - {record: query_%d, expr: %q}\n", i, strings.ReplaceAll(q, "$__rate_interval", "5m"))
	}
	path := filepath.Join(t.TempDir(), "rules.yml")
	contribtest.WriteFile(t, path, rules.String())
	if out, err := counterparts.Promtool(t).Command(t.Context(), "check", "rules", path).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// TestLayout: IDs are unique, no panel covers another, and each says what it shows.
func TestLayout(t *testing.T) {
	t.Parallel()
	d := load(t)
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %+v", p)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%s covers %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}
