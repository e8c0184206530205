package splunk

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/contrib/contribtest"
)

// splunk is the add-on as a search head would load it.
type splunk struct {
	t                                   testing.TB
	props, transforms, eventTypes, tags map[string]stanza
}

func load(t testing.TB) *splunk {
	t.Helper()
	return &splunk{t: t, props: conf(t, "default/props.conf"), transforms: conf(t, "default/transforms.conf"),
		eventTypes: conf(t, "default/eventtypes.conf"), tags: conf(t, "default/tags.conf")}
}

// event is one indexed event: _raw and what came beside it.
type event struct {
	raw, sourcetype string
	indexed         map[string]any // HEC's "fields"
}

// see returns the event's fields, event types and tags at search time.
func (s *splunk) see(e event) fields {
	s.t.Helper()
	f := fields{"_raw": {e.raw}, "sourcetype": {e.sourcetype}}
	for name, value := range e.indexed {
		f[name] = []string{fmt.Sprint(value)}
	}
	props, ok := s.props[e.sourcetype]
	if !ok {
		s.t.Fatalf("no props for %s", e.sourcetype)
	}
	for _, report := range props.prefixed("REPORT") {
		for name := range strings.SplitSeq(report.value, ",") {
			s.extract(f, strings.TrimSpace(name))
		}
	}
	if props.get("KV_MODE") == "json" {
		s.json(f, e.raw)
	}
	s.aliases(f, props)
	s.evals(f, props)
	s.lookups(f, props)
	for name, et := range s.eventTypes {
		if matches(s.t, et.get("search"), f) {
			f["eventtype"] = append(f["eventtype"], name)
			for _, tag := range s.tags["eventtype="+name].settings {
				f["tag"] = append(f["tag"], tag.key)
			}
		}
	}
	return f
}

// pattern compiles a PCRE that RE2 knows as well.
func (s *splunk) pattern(text string) *regexp.Regexp {
	re, err := regexp.Compile(text)
	if err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
	return re
}

func (s *splunk) extract(f fields, transform string) {
	tr, ok := s.transforms[transform]
	if !ok {
		s.t.Fatalf("no transform %s", transform)
	}
	key := tr.get("SOURCE_KEY")
	if key == "" {
		key = "_raw"
	}
	if f[key] == nil {
		return
	}
	re := s.pattern(tr.get("REGEX"))
	set := func(name, value string) {
		if f[name] == nil && value != "" { // without MV_ADD the first value stays
			f[name] = []string{value}
		}
	}
	for _, m := range re.FindAllStringSubmatch(f[key][0], -1) {
		if format := tr.get("FORMAT"); format != "" {
			name, value, _ := strings.Cut(format, "::")
			set(expand(name, m), expand(value, m))
			continue
		}
		for i, name := range re.SubexpNames() {
			if name != "" {
				set(name, m[i])
			}
		}
	}
}

func expand(text string, m []string) string {
	for i := range m {
		text = strings.ReplaceAll(text, fmt.Sprintf("$%d", i), m[i])
	}
	return text
}

func (s *splunk) json(f fields, raw string) {
	decoder := json.NewDecoder(strings.NewReader(raw))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		s.t.Fatalf("%v: %s", err, raw)
	}
	flatten(f, "", object)
}

func flatten(f fields, prefix string, object map[string]any) {
	for name, value := range object {
		switch v := value.(type) {
		case map[string]any:
			flatten(f, prefix+name+".", v)
		case []any, nil:
		default:
			f[prefix+name] = append(f[prefix+name], fmt.Sprint(v)) // beside an indexed one: twice, as in Splunk
		}
	}
}

func (s *splunk) aliases(f fields, props stanza) {
	before := maps.Clone(f)
	for _, alias := range props.prefixed("FIELDALIAS") {
		words := strings.Fields(alias.value)
		if len(words)%3 != 0 {
			s.t.Fatalf("FIELDALIAS-%s: %s", alias.key, alias.value)
		}
		for w := range slices.Chunk(words, 3) {
			if w[1] != "ASNEW" {
				s.t.Fatalf("FIELDALIAS-%s: %s would remove a field that is there", alias.key, w[1])
			}
			if before[w[0]] != nil && before[w[2]] == nil {
				f[w[2]] = before[w[0]]
			}
		}
	}
}

func (s *splunk) evals(f fields, props stanza) {
	before := maps.Clone(f)
	for _, eval := range props.prefixed("EVAL") {
		value, err := evaluate(eval.value, before)
		if err != nil {
			s.t.Fatal(err)
		}
		if delete(f, eval.key); value != nil {
			f[eval.key] = value
		}
	}
}

// lookupForm is TABLE FIELD [AS FIELD] OUTPUT|OUTPUTNEW FIELD...
var lookupForm = regexp.MustCompile(`^(\w+) (\w+)(?: AS (\w+))? (OUTPUT|OUTPUTNEW) (\w+(?: \w+)*)$`)

// lookups applies them in the order of their names, as Splunk does.
func (s *splunk) lookups(f fields, props stanza) {
	all := props.prefixed("LOOKUP")
	slices.SortFunc(all, func(a, b setting) int { return strings.Compare(a.key, b.key) })
	for _, lookup := range all {
		m := lookupForm.FindStringSubmatch(lookup.value)
		if m == nil {
			s.t.Fatalf("LOOKUP-%s: %s", lookup.key, lookup.value)
		}
		table, field := s.transforms[m[1]], m[3]
		if field == "" {
			field = m[2]
		}
		row := s.row(table, m[2], f[field])
		for _, out := range strings.Fields(m[5]) {
			switch {
			case row == nil, m[4] == "OUTPUTNEW" && f[out] != nil:
			case row[out] != "":
				f[out] = []string{row[out]}
			}
		}
	}
}

// row is the first of the table whose column fits one of values, by its name of each column.
func (s *splunk) row(table stanza, column string, values []string) map[string]string {
	rows, err := csv.NewReader(strings.NewReader(contribtest.ReadFile(s.t, addon+"lookups/"+table.get("filename")))).ReadAll()
	if err != nil {
		s.t.Fatal(err)
	}
	in := slices.Index(rows[0], column)
	wildcard := table.get("match_type") == "WILDCARD("+column+")"
	for _, row := range rows[1:] {
		pattern := "(?s)^" + regexp.QuoteMeta(row[in]) + "$"
		if wildcard {
			pattern = strings.ReplaceAll(pattern, `\*`, ".*")
		}
		if table.get("case_sensitive_match") == "false" {
			pattern = "(?i)" + pattern
		}
		if slices.ContainsFunc(values, regexp.MustCompile(pattern).MatchString) {
			found := map[string]string{}
			for i, name := range rows[0] {
				found[name] = row[i]
			}
			return found
		}
	}
	return nil
}
