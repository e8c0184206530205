package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"

	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
)

// Options are what Load needs of the world around the file. The zero value reads the process's own.
type Options struct {
	Resolver *secret.Resolver    // nil: one that uses Getenv
	Getenv   func(string) string // nil: os.Getenv
	Now      func() time.Time    // nil: time.Now

	// Construct makes the output from its table, to find out whether that is possible; it calls o.Decode once. Keys of
	// the errors that it returns (joined) are found by a method ConfigKey() string. nil: the kinds' own keys are not
	// looked at.
	Construct func(o *Output) ([]OutputWarning, error)

	// Strict makes errors of what the daemon starts with all the same, so that its queue can drain, although nothing
	// will arrive: an expired certificate. "check" sets it.
	Strict bool

	// FreeBytes tells how much the file system of a directory has left, ok false when that isn't known. nil: ask the
	// kernel.
	FreeBytes func(directory string) (free int64, ok bool)
}

// OutputWarning is something about one key of an output's table that works but that an operator should know.
type OutputWarning struct {
	Key, Text   string
	Certificate string // the ID of the certificate that it is about: each is warned of once; empty: none
}

// DecodeError is what an output's Decode returns: all values that don't fit and all keys that nobody knows.
type DecodeError struct{ Problems []Problem }

// Error implements error.
func (e *DecodeError) Error() string { return (&InvalidError{e.Problems}).Error() }

// Load reads, completes and checks the file at path. The Config is nil when the report has an error.
func Load(path string, opts Options) (*Config, *Report) {
	data, err := os.ReadFile(path) //nolint:gosec // the operator names the file on the command line
	if err != nil {
		if p := new(fs.PathError); errors.As(err, &p) {
			err = p.Err
		}
		return nil, &Report{File: path, Problems: []Problem{{
			Severity: Error, File: path, Text: "can't read the configuration file: " + err.Error(),
		}}}
	}
	cfg, report := LoadBytes(path, data, opts)
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o002 != 0 {
		report.Problems = slices.Insert(report.Problems, 0, Problem{
			Severity: Warning, File: path, Hint: "chmod o-w " + path,
			Text: fmt.Sprintf("other users can write this file (mode %04o), and so read every signal", info.Mode().Perm()),
		})
	}
	return cfg, report
}

// LoadBytes is Load for a file that is in memory already; name is what reports call it.
func LoadBytes(name string, data []byte, opts Options) (*Config, *Report) {
	hash := sha256.Sum256(data)
	l := newLoader(name, opts)
	l.cfg.Path, l.cfg.Hash = name, hex.EncodeToString(hash[:])
	if l.parse(string(data)) {
		l.bind()
		l.check()
	}
	l.loaded = true
	l.report.sort()
	if l.report.Err() != nil {
		return nil, l.report
	}
	return l.cfg, l.report
}

// loader is one run of Load.
type loader struct {
	opts   Options
	report *Report
	at     locations
	tree   map[string]any // the file as the parser gives it
	file   fileTable      // the file as it is written, with defaults
	cfg    *Config
	loaded bool // an output's Decode called from now on doesn't add to the report

	broken  map[string]bool // keys whose value could not be read: rules about them would only repeat that
	secrets map[secret.Ref]resolved
	listens []listenUse // every address that will be listened on, to find clashes

	certificates map[string]bool // of outputs, warned of
}

// resolved is what came of one reference.
type resolved struct {
	value secret.Value
	err   error
}

func newLoader(name string, opts Options) *loader {
	if opts.Getenv == nil {
		opts.Getenv = os.Getenv
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Resolver == nil {
		opts.Resolver = secret.NewResolver(opts.Getenv)
	}
	if opts.FreeBytes == nil {
		opts.FreeBytes = freeBytes
	}
	return &loader{
		opts:    opts,
		report:  &Report{File: name},
		file:    newFileTable(),
		cfg:     &Config{},
		secrets: map[secret.Ref]resolved{},
		broken:  map[string]bool{},

		certificates: map[string]bool{},
	}
}

// parse reads the syntax; without it nothing else can be checked.
func (l *loader) parse(src string) bool {
	_, err := toml.Decode(src, &l.tree)
	if err == nil {
		l.at = locate(src)
		return true
	}
	problem := Problem{Severity: Error, File: l.report.File, Text: strings.TrimPrefix(err.Error(), "toml: ")}
	if parseErr := (toml.ParseError{}); errors.As(err, &parseErr) {
		problem.Text = printable(parseErr.Message)
		problem.Line = parseErr.Position.Line
		problem.Column = columnOf(src, parseErr.Position)
	}
	l.report.Problems = append(l.report.Problems, problem)
	return false
}

// columnOf turns the parser's byte column into characters.
func columnOf(src string, at toml.Position) int {
	line := ""
	for n := 1; n <= at.Line; n++ {
		line, src, _ = strings.Cut(src, "\n")
	}
	before := line[:max(0, min(at.Col-1, len(line)))]
	return utf8.RuneCountInString(before) + 1
}

// bind copies everything but the outputs into l.file.
func (l *loader) bind() {
	rest := maps.Clone(l.tree)
	delete(rest, "output")
	l.binder().table(nil, rest, reflect.ValueOf(&l.file).Elem(), nil, nil)
}

func (l *loader) binder() *binder {
	return &binder{
		problem: func(at keyPath, text, hint string) {
			l.errorf(at, hint, "%s", text)
			l.broken[at.String()] = true
		},
		elsewhere: tablesOf(),
	}
}

// isBroken reports whether the value of p, or of a table around it, could not be read.
func (l *loader) isBroken(p keyPath) bool {
	for ; len(p) > 0; p = p[:len(p)-1] {
		if l.broken[p.String()] {
			return true
		}
	}
	return false
}

// check runs every rule and fills l.cfg.
func (l *loader) check() {
	l.checkServer()
	l.checkEndpoints()
	l.checkQueue()
	l.checkDedupe()
	l.checkAdmin()
	l.checkLog()
	l.checkOutputs()
	l.checkRouting()
}

// errorf reports an error at p. The hint may be empty.
func (l *loader) errorf(p keyPath, hint, format string, args ...any) {
	l.add(Error, p, hint, fmt.Sprintf(format, args...))
}

// warnf reports a warning at p. The hint may be empty.
func (l *loader) warnf(p keyPath, hint, format string, args ...any) {
	l.add(Warning, p, hint, fmt.Sprintf(format, args...))
}

func (l *loader) add(s Severity, p keyPath, hint, text string) {
	l.note(p, l.problem(s, p, hint, text))
}

// addLive is add for what time alone changes.
func (l *loader) addLive(s Severity, p keyPath, hint, text string) {
	found := l.problem(s, p, hint, text)
	found.Live = true
	l.note(p, found)
}

// note adds what was found about a key, unless the key could not be read at all.
func (l *loader) note(p keyPath, found Problem) {
	if !l.isBroken(p) {
		l.report.Problems = append(l.report.Problems, found)
	}
}

func (l *loader) problem(s Severity, p keyPath, hint, text string) Problem {
	at := l.at.find(p)
	return Problem{
		Severity: s, File: l.report.File, Line: at.line, Column: at.column,
		Key: p.String(), Text: printable(text), Hint: printable(hint),
	}
}

// printable keeps a problem on one line and away from the terminal's controls, whatever the file holds.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// isSet reports whether the file itself has the key, rather than its default.
func (l *loader) isSet(p keyPath) bool {
	_, ok := l.at[p.String()]
	return ok
}

// secret resolves a reference, once a file.
func (l *loader) secret(at keyPath, ref secret.Ref) (secret.Value, bool) {
	r, known := l.secrets[ref]
	if !known {
		r.value, r.err = l.opts.Resolver.Resolve(ref)
		l.secrets[ref] = r
	}
	if r.err != nil {
		l.errorf(at, "", "%s", r.err)
		return secret.Value{}, false
	}
	l.warnUnseen(at, ref)
	return r.value, true
}

// warnUnseen says that a secret was not looked at.
func (l *loader) warnUnseen(at keyPath, ref secret.Ref) {
	if l.opts.Resolver.Unseen(ref) {
		l.warnf(at, "to check it as well: systemd-run -p LoadCredential=... linuxguard-bridge check",
			"credentials exist inside of the service only: %s is not checked", ref.Name())
	}
}
