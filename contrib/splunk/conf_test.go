package splunk

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/contrib/contribtest"
)

const addon = "TA-linuxguard/"

// setting is one line of a stanza; order matters in none of the files.
type setting struct{ key, value string }

type stanza struct {
	name     string
	settings []setting
}

func (s stanza) get(key string) string {
	for _, set := range s.settings {
		if set.key == key {
			return set.value
		}
	}
	return ""
}

// prefixed returns the settings CLASS-name of a class such as EVAL, with the class cut off.
func (s stanza) prefixed(class string) []setting {
	var found []setting
	for _, set := range s.settings {
		if name, ok := strings.CutPrefix(set.key, class+"-"); ok {
			found = append(found, setting{name, set.value})
		}
	}
	return found
}

var keyForm = regexp.MustCompile(`^[A-Za-z_][\w.:-]*$`)

// parseConf reads a .conf file as Splunk does: stanzas, key = value, # comments on lines of their own, no repeats.
func parseConf(text string) ([]stanza, error) {
	var all []stanza
	seen := map[string]bool{}
	for i, line := range strings.Split(text, "\n") {
		fail := func(why string) error { return fmt.Errorf("line %d: %s: %q", i+1, why, line) }
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if line != strings.TrimSpace(line) || strings.HasSuffix(line, `\`) {
			return nil, fail("space at an end, or a continuation")
		}
		if strings.HasPrefix(line, "[") {
			name := strings.TrimSuffix(line[1:], "]")
			if name+"]" != line[1:] || seen["["+name] {
				return nil, fail("no stanza, or one twice")
			}
			seen["["+name] = true
			all = append(all, stanza{name: name})
			continue
		}
		key, value, found := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !found || len(all) == 0 || !keyForm.MatchString(key) || value == "" {
			return nil, fail("neither a stanza nor a setting in one")
		}
		last := &all[len(all)-1]
		if last.get(key) != "" {
			return nil, fail("a setting twice")
		}
		last.settings = append(last.settings, setting{key, value})
	}
	return all, nil
}

func conf(t testing.TB, name string) map[string]stanza {
	t.Helper()
	all, err := parseConf(contribtest.ReadFile(t, addon+name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	byName := map[string]stanza{}
	for _, s := range all {
		byName[s.name] = s
	}
	return byName
}

func TestParseConfRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"a = b", "[x\na = b", "[x]\na", "[x]\na =", "[x]\na = b\na = c", "[x]\n[x]", "[x]\na = b ", "[x]\na b = c", "[x]\na = b\\"} {
		if _, err := parseConf(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// known are the settings that the add-on uses of each file's specification; a misspelt one would be ignored by Splunk.
var known = map[string]string{
	"default/app.conf": `is_configured|is_visible|label|author|description|version|id|check_for_updates|name`,
	"default/props.conf": `CHARSET|SHOULD_LINEMERGE|LINE_BREAKER|TRUNCATE|TIME_PREFIX|MAX_TIMESTAMP_LOOKAHEAD|TZ|KV_MODE|` +
		`FIELDALIAS-\w+|EVAL-\w+|LOOKUP-\w+|REPORT-\w+`,
	"default/transforms.conf":    `REGEX|FORMAT|SOURCE_KEY|DEPTH_LIMIT|MATCH_LIMIT|filename|match_type|max_matches|case_sensitive_match`,
	"default/eventtypes.conf":    `search`,
	"default/tags.conf":          `\w+`,
	"default/savedsearches.conf": `description|search|dispatch\.(?:earliest|latest)_time|is_scheduled`,
	"metadata/default.meta":      `access|export`,
}

func TestSettingsAreKnown(t *testing.T) {
	t.Parallel()
	for name, pattern := range known {
		form := regexp.MustCompile(`^(?:` + pattern + `)$`)
		for _, s := range conf(t, name) {
			for _, set := range s.settings {
				if !form.MatchString(set.key) {
					t.Errorf("%s [%s]: unknown setting %s", name, s.name, set.key)
				}
			}
		}
	}
}
