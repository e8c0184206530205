package guides

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/contrib/contribtest"
)

// pages are the guides and the other pages that tell people what to type.
func pages(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("*.md")
	if err != nil || len(paths) < 8 {
		t.Fatalf("%d pages, %v", len(paths), err)
	}
	text := map[string]string{}
	for _, path := range append(paths, "../README.md", "../splunk/TA-linuxguard/README.md", root+"CONTRIBUTING.md", root+"README.md") {
		text[path] = contribtest.ReadFile(t, path)
	}
	return text
}

// command is a command line in a page, in code or in a block: its subcommands, then its flags.
var (
	command = regexp.MustCompile("(?m)(?:^|`|&& |sudo )linuxguard-bridge((?: [a-z]+)+)([^\n`]*)")
	flag    = regexp.MustCompile(` (--[a-z-]+)`)
)

// TestCommandsExist asks the binary's own help about every command and flag that a page names.
func TestCommandsExist(t *testing.T) {
	t.Parallel()
	binary := bridgetest.Binary(t)
	help := map[string]string{}
	n := 0
	for page, text := range pages(t) {
		for _, m := range command.FindAllStringSubmatch(text, -1) {
			words := strings.Fields(m[1])
			if len(words) > 1 && !slices.Contains([]string{"quarantine", "losses", "queue"}, words[0]) {
				words = words[:1]
			}
			name := strings.Join(words, " ")
			if help[name] == "" {
				out, _ := exec.CommandContext(t.Context(), binary, append(words, "--help")...).CombinedOutput()
				help[name] = string(out)
			}
			if !strings.Contains(help[name], "  linuxguard-bridge "+name+" ") {
				t.Errorf("%s: there is no command linuxguard-bridge %s", page, name)
			}
			line, _, _ := strings.Cut(m[2], "#")
			line, _, _ = strings.Cut(line, "&&")
			for _, f := range flag.FindAllStringSubmatch(line, -1) {
				if !strings.Contains(help[name], f[1]+" ") {
					t.Errorf("%s: linuxguard-bridge %s has no flag %s", page, name, f[1])
				}
			}
			n++
		}
	}
	if n < 30 {
		t.Errorf("only %d commands found", n)
	}
}

// TestKeysExist: a key that a guide names by its table is in the configuration as it is shipped.
func TestKeysExist(t *testing.T) {
	t.Parallel()
	config := contribtest.ReadFile(t, root+"packaging/config.reference.toml")
	key := regexp.MustCompile("`(?:(server\\.acme|server|queue|dedupe|admin|log)\\.)?([a-z]+_[a-z_]+|allow|listen)( = [^`]*)?`")
	n := 0
	for page, text := range pages(t) {
		for _, m := range key.FindAllStringSubmatch(text, -1) {
			if m[1] == "" && m[3] == "" || strings.Contains(page, "splunk/") { // a bare word may be a field; Splunk's keys are its own
				continue
			}
			if n++; !regexp.MustCompile(`(?m)^#?` + m[2] + ` = `).MatchString(config) {
				t.Errorf("%s: no key %s", page, m[0])
			}
		}
	}
	if n < 12 {
		t.Errorf("only %d keys found", n)
	}
}

// TestMetricsExist: a metric that a page names is one that a real bridge exports.
func TestMetricsExist(t *testing.T) {
	t.Parallel()
	scrape := contribtest.Exported(t)
	for _, text := range pages(t) {
		for _, name := range regexp.MustCompile(`linuxguard_bridge_[a-z_]+[a-z]`).FindAllString(text, -1) {
			if name == "linuxguard_bridge_syslog" || name == "linuxguard_bridge_splunk_hec" {
				continue
			}
			contribtest.CheckQuery(t, scrape, name)
		}
	}
	checkMetricNames(t, scrape)
}

// checkMetricNames holds the names of all metrics and their labels to testdata/metrics.txt: dashboards and alerts of users rely on them.
func checkMetricNames(t *testing.T, scrape string) {
	t.Helper()
	label := regexp.MustCompile(`([a-z_]+)="`)
	found := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(linuxguard_bridge_[a-z0-9_]+)(\{[^}]*\})?`).FindAllStringSubmatch(scrape, -1) {
		var labels []string
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			labels = append(labels, l[1])
		}
		slices.Sort(labels)
		found[m[1]+"{"+strings.Join(labels, ",")+"}"] = true
	}
	got := strings.Join(slices.Sorted(maps.Keys(found)), "\n") + "\n"
	const file = "testdata/metrics.txt"
	if os.Getenv("UPDATE") != "" {
		contribtest.WriteFile(t, file, got)
	}
	if want := contribtest.ReadFile(t, file); got != want {
		t.Errorf("the metrics are not those of %s (UPDATE=1 accepts them):\n%s", file, got)
	}
}
