package config

import (
	"errors"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"

	"golang.org/x/net/http/httpguts"
)

// checkOutputs reads [output.*].
func (l *loader) checkOutputs() {
	tables, ok := l.tree["output"].(map[string]any)
	if !ok && l.tree["output"] != nil {
		l.errorf(path("output"), "write [output.NAME]", "must be a table of named tables")
		return
	}
	if len(tables) == 0 {
		l.errorf(path("output"), "add an [output.NAME] table with a type", "there is no output: signals would go nowhere")
	}
	var writes []writtenFile
	for _, name := range sortedKeys(tables) {
		writes = append(writes, l.checkOutput(name, tables[name])...)
	}
	l.checkSharedFiles(writes)
}

// checkSharedFiles reports outputs that write to one file: each would cut and rotate under the other's hands.
func (l *loader) checkSharedFiles(writes []writtenFile) {
	first := map[string]keyPath{}
	for _, w := range writes {
		file := filepath.Clean(string(w.path))
		if other, taken := first[file]; taken {
			l.errorf(w.at, "every output needs its own", "%q is the file of output %s too", w.path, other[1])
		} else {
			first[file] = w.at
		}
	}
}

// checkOutput reads one output's table: the common keys here, the kind's own by constructing it. It returns the files that the output writes.
func (l *loader) checkOutput(name string, value any) []writtenFile {
	at := path("output", name)
	table, ok := value.(map[string]any)
	if !ok {
		l.errorf(at, "write [output.NAME]", "must be a table, not %s", describe(value))
		return nil
	}
	l.checkName(at, name)
	var common outputTable
	common.setDefaults()
	theirs := func(string) bool { return true }
	l.binder().table(at, table, reflect.ValueOf(&common).Elem(), theirs, nil)
	refs := &references{outside: map[string]string{}}
	o := Output{
		Name: name, Type: common.Type, StartAt: common.StartAt,
		DropOldest: common.WhenFull == "drop_oldest",
		Match:      l.checkMatch(at.key("match"), common.Match),
		Decode:     l.decoder(at, table, refs),
	}
	l.oneOf(at.key("when_full"), common.WhenFull, "block", "drop_oldest")
	l.oneOf(at.key("start_at"), common.StartAt, "now", "oldest")
	l.construct(at, &o)
	l.outputs = append(l.outputs, outputSettings{at, common, refs.settings})
	o.Fingerprint = l.fingerprint(name, table, refs)
	l.cfg.Outputs = append(l.cfg.Outputs, o)
	return refs.writes
}

// decoder makes an output's Decode. While the file is loaded it fills refs.
func (l *loader) decoder(at keyPath, table map[string]any, refs *references) func(any) error {
	common := namesOf(fieldsOf(reflect.TypeFor[outputTable]()))
	isCommon := func(key string) bool { return slices.Contains(common, key) }
	return func(settings any) error {
		dst := reflect.ValueOf(settings)
		if dst.Kind() != reflect.Pointer || dst.Elem().Kind() != reflect.Struct {
			return errors.New("the settings of an output must be a pointer to a struct")
		}
		var found []Problem
		b := &binder{elsewhere: tablesOf(), problem: func(at keyPath, text, hint string) {
			p := l.problem(Error, at, hint, text)
			p.cause = true
			found = append(found, p)
		}}
		b.table(at, table, dst.Elem(), isCommon, common)
		if !l.loaded {
			l.report.Problems = append(l.report.Problems, found...)
			refs.settings = dst.Elem()
			l.refer(at, dst.Elem(), refs)
		}
		if len(found) == 0 {
			return nil
		}
		return &DecodeError{found}
	}
}

// construct lets the caller make the output and reports what stands in the way.
func (l *loader) construct(at keyPath, o *Output) {
	if o.Type == "" {
		l.errorf(at.key("type"), `for instance type = "syslog"`, "is missing")
		return
	}
	if l.opts.Construct == nil {
		return
	}
	warnings, err := l.opts.Construct(o)
	for _, w := range warnings {
		if w.Certificate != "" {
			l.warnOfCertificate(at.relative(w.Key), w)
			continue
		}
		l.warnf(at.relative(w.Key), "", "%s", w.Text)
	}
	l.outputErrors(at, err)
}

// warnOfCertificate warns once of a certificate that outputs share.
func (l *loader) warnOfCertificate(at keyPath, w OutputWarning) {
	if l.certificates[w.Certificate] {
		return
	}
	l.certificates[w.Certificate] = true
	l.addLive(Warning, at, "", w.Text)
}

// keyed is an error that names the key to blame, relative to the output's table.
type keyed interface {
	error
	ConfigKey() string
	Unwrap() error
}

// outputErrors reports every error of a tree of joined and wrapped ones, at the key that it names.
func (l *loader) outputErrors(at keyPath, err error) {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		switch e := inner.(type) { //nolint:errorlint // this loop is the walk along the chain
		case *DecodeError: // reported already
			return
		case keyed:
			l.outputErrors(at.relative(e.ConfigKey()), e.Unwrap())
			return
		case interface{ Unwrap() []error }:
			for _, one := range e.Unwrap() {
				l.outputErrors(at, one)
			}
			return
		}
	}
	if err != nil {
		l.errorf(at, "", "%s", err)
	}
}

// checkMatch reads an output's match table.
func (l *loader) checkMatch(at keyPath, m matchTable) Match {
	if m.MinSeverity < 0 || m.MinSeverity > 5 {
		l.errorf(at.key("min_severity"), "", "must be from 1 (info) to 5 (critical), or 0 for any, not %d", m.MinSeverity)
	}
	l.checkGlobs(at.key("signal_type"), m.SignalType)
	l.checkGlobs(at.key("environment"), m.Environment)
	for i, name := range m.Endpoint {
		if _, ok := l.file.Endpoint[name]; !ok {
			hint := didYouMean(name, sortedKeys(l.file.Endpoint))
			l.errorf(at.key("endpoint").index(i), hint, "there is no [endpoint.%s]", quoteKey(name))
		}
	}
	return Match{
		MinSeverity: m.MinSeverity, SignalType: m.SignalType, Environment: m.Environment, Endpoint: m.Endpoint,
		Header: l.checkMatchHeaders(at.key("header"), m.Header),
	}
}

// checkGlobs looks at patterns in which only * and ? mean something, so any other text is valid.
func (l *loader) checkGlobs(at keyPath, globs []string) {
	for i, glob := range globs {
		switch {
		case glob == "":
			l.errorf(at.index(i), `write "*" for any`, "an empty pattern matches nothing")
		case slices.ContainsFunc([]byte(glob), func(c byte) bool { return c == '[' || c == '{' || c == '\\' }):
			l.warnf(at.index(i), "", "%q: only * and ? have a meaning here, every other character stands for itself", glob)
		}
	}
}

// checkMatchHeaders brings the header names into their canonical form.
func (l *loader) checkMatchHeaders(at keyPath, headers map[string][]string) map[string][]string {
	canonical := map[string][]string{}
	for _, name := range sortedKeys(headers) {
		here, values := at.key(name), headers[name]
		if !l.checkHeaderName(here, name) {
			continue
		}
		form := http.CanonicalHeaderKey(name)
		if _, twice := canonical[form]; twice {
			l.errorf(here, "case makes no difference in a header's name", "is there twice")
		}
		if len(values) == 0 {
			l.errorf(here, "", "the list of accepted values is empty: nothing would match")
		}
		for i, value := range values {
			if !isHeaderValue(value) {
				l.errorf(here.index(i), "", "%q can't be the value of a header", value)
			}
		}
		canonical[form] = values
	}
	l.checkSecretHeaders(at, headers)
	return canonical
}

// checkSecretHeaders warns of routing by a header that carries a secret, since what is matched is stored in clear.
func (l *loader) checkSecretHeaders(at keyPath, headers map[string][]string) {
	for _, endpoint := range sortedKeys(l.file.Endpoint) {
		for required := range l.file.Endpoint[endpoint].RequiredHeaders {
			for name := range headers {
				if http.CanonicalHeaderKey(name) == http.CanonicalHeaderKey(required) {
					l.warnf(at.key(name), "route by another header",
						"endpoint %s keeps a secret in this header, and headers that are matched are stored in the queue", endpoint)
				}
			}
		}
	}
}

// checkRouting warns of endpoints whose signals no output takes.
func (l *loader) checkRouting() {
	for _, endpoint := range l.cfg.Endpoints {
		taken := slices.ContainsFunc(l.cfg.Outputs, func(o Output) bool {
			return len(o.Match.Endpoint) == 0 || slices.Contains(o.Match.Endpoint, endpoint.Name)
		})
		if !taken && len(l.cfg.Outputs) > 0 {
			l.warnf(path("endpoint", endpoint.Name), "", "no output takes what this endpoint receives: every match names other endpoints")
		}
	}
}

// checkHeaderName reports a header name that can't be required or matched.
func (l *loader) checkHeaderName(at keyPath, name string) bool {
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		l.errorf(at, "", "%q can't be the name of a header", name)
	case isTransportHeader(http.CanonicalHeaderKey(name)):
		l.errorf(at, "", "this header belongs to the transport and says nothing about the sender")
	default:
		return true
	}
	return false
}

// isTransportHeader reports whether a header is the connection's (RFC 9110 section 7.6.1), or one that net/http takes
// out of the request before anybody sees it.
func isTransportHeader(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Host", "Content-Length", "Expect":
		return true
	}
	return false
}

// isHeaderValue reports whether value can arrive as a header's value: net/http trims it.
func isHeaderValue(value string) bool {
	const blanks = " \t"
	trimmed := len(value) > 0 && !slices.Contains([]byte(blanks), value[0]) && !slices.Contains([]byte(blanks), value[len(value)-1])
	return trimmed && httpguts.ValidHeaderFieldValue(value)
}
