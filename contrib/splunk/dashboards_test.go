package splunk

import (
	"encoding/json"
	"encoding/xml"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/contrib/contribtest"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
)

// dashboard is a view of Dashboard Studio: JSON inside of XML.
type dashboard struct {
	XMLName    xml.Name `xml:"dashboard"`
	Version    string   `xml:"version,attr"`
	Label      string   `xml:"label"`
	Definition string   `xml:"definition"`
}

type definition struct {
	Title          string
	Inputs         map[string]struct{ Options struct{ Token string } }
	Visualizations map[string]struct {
		Type        string
		DataSources map[string]string
	}
	DataSources map[string]struct {
		Type    string
		Options struct {
			Query           string
			QueryParameters map[string]string
		}
	}
	Layout struct {
		Type         string
		GlobalInputs []string
		Structure    []struct {
			Item     string
			Position struct{ X, Y, W, H int }
		}
	}
}

func dashboards(t *testing.T) map[string]definition {
	t.Helper()
	paths, err := filepath.Glob(addon + "default/data/ui/views/*.xml")
	if err != nil || len(paths) != 2 {
		t.Fatalf("%v, %v", paths, err)
	}
	all := map[string]definition{}
	for _, path := range paths {
		var view dashboard
		if err := xml.Unmarshal([]byte(contribtest.ReadFile(t, path)), &view); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		var d definition
		if err := json.Unmarshal([]byte(view.Definition), &d); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if view.Version != "2" || d.Title == "" || d.Title != view.Label {
			t.Errorf("%s: version %s, %q and %q", path, view.Version, view.Label, d.Title)
		}
		all[filepath.Base(path)] = d
	}
	return all
}

// TestDashboards: every panel is placed once without covering another, reads a data source that is there, and every data source is shown.
func TestDashboards(t *testing.T) {
	t.Parallel()
	for name, d := range dashboards(t) {
		used, placed := map[string]bool{}, map[string]bool{}
		for id, v := range d.Visualizations {
			source := v.DataSources["primary"]
			if _, ok := d.DataSources[source]; !ok || !strings.HasPrefix(v.Type, "splunk.") {
				t.Errorf("%s: %s is a %s of %q", name, id, v.Type, source)
			}
			used[source] = true
		}
		for i, s := range d.Layout.Structure {
			if _, ok := d.Visualizations[s.Item]; !ok || placed[s.Item] {
				t.Errorf("%s: %s is no panel, or placed twice", name, s.Item)
			}
			placed[s.Item] = true
			p := s.Position
			if p.W <= 0 || p.H <= 0 || p.X+p.W > 1200 {
				t.Errorf("%s: %s is at %+v", name, s.Item, p)
			}
			for _, other := range d.Layout.Structure[:i] {
				if o := other.Position; p.X < o.X+o.W && o.X < p.X+p.W && p.Y < o.Y+o.H && o.Y < p.Y+p.H {
					t.Errorf("%s: %s covers %s", name, s.Item, other.Item)
				}
			}
		}
		if len(placed) != len(d.Visualizations) || len(used) != len(d.DataSources) {
			t.Errorf("%s: %d of %d panels are placed, %d of %d data sources are used", name, len(placed), len(d.Visualizations), len(used), len(d.DataSources))
		}
		tokens := map[string]bool{}
		for _, input := range d.Layout.GlobalInputs {
			tokens[d.Inputs[input].Options.Token] = true
		}
		for id, s := range d.DataSources {
			for _, m := range regexp.MustCompile(`\$(\w+)(?:\.\w+)?\$`).FindAllStringSubmatch(s.Options.Query+s.Options.QueryParameters["earliest"], -1) {
				if !tokens[m[1]] {
					t.Errorf("%s: %s asks for $%s$, which no input gives", name, id, m[1])
				}
			}
			if s.Type != "ds.search" || !strings.Contains(s.Options.Query, "index=$index$") {
				t.Errorf("%s: %s is %q", name, id, s.Options.Query)
			}
		}
	}
}

// commandWords are what SPL has at the places where the searches here have names that are no fields.
var commandWords = strings.Fields("index eventtype OR AS by count stats eval dedup where sort table head timechart span sum min max dc values median perc95 round now coalesce " +
	"linuxguard_signal linuxguard_bridge h m d")

// TestSearchesNameWhatIsThere: each word of a search that may be a field is one that the add-on or the bridge gives, or that the search itself has made.
func TestSearchesNameWhatIsThere(t *testing.T) {
	t.Parallel()
	s := load(t)
	have := map[string]bool{"_time": true, "_indextime": true}
	for _, f := range mapping.Fields() {
		have[f.Name] = true
	}
	for _, kind := range []string{"sudo_command_executed", "user_created"} {
		for field := range s.see(signalOf(t, kind)) {
			have[field] = true
		}
	}
	searches := map[string]string{}
	for name, d := range dashboards(t) {
		for id, source := range d.DataSources {
			searches[name+" "+id] = source.Options.Query
		}
	}
	for _, saved := range conf(t, "default/savedsearches.conf") {
		searches[saved.name] = saved.get("search")
	}
	for name, search := range searches {
		made := map[string]bool{}
		for _, m := range regexp.MustCompile(`(?:AS |eval )(\w+)`).FindAllStringSubmatch(search, -1) {
			made[m[1]] = true
		}
		plain := regexp.MustCompile(`"[^"]*"|\$[\w.]+\$|\b\d+\w*\b`).ReplaceAllString(search, "")
		for _, word := range regexp.MustCompile(`[A-Za-z_]\w*`).FindAllString(plain, -1) {
			if !have[word] && !made[word] && !slices.Contains(commandWords, word) {
				t.Errorf("%s: nothing gives %s:\n%s", name, word, search)
			}
		}
	}
}
