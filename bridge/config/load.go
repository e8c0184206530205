package config

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
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

	// Service judges what the service may reach, for "check"; nil: this process is the service.
	Service Service
	// Unmanaged says that no service manager starts the daemon here: what this process can't write is warned of.
	Unmanaged bool
	// Roots are those by which strangers judge the server's certificate, for "check"; nil: it is not judged.
	Roots *x509.CertPool
	// MemoryLimit is what the service manager grants, in bytes; 0: not known.
	MemoryLimit int64
	// SocketUnit is the state of the socket unit, for "check": "active", "inactive" or another; empty: not known.
	SocketUnit string

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

// Load reads, completes and checks the file at path and those in conf.d beside it. The Config is nil when the report has an error.
func Load(path string, opts Options) (*Config, *Report) {
	files, report := Read(path)
	if report != nil {
		return nil, report
	}
	return LoadFiles(files, opts)
}

// LoadFiles is Load for files that are in memory already, at least one; it is the first that the configuration is called after.
func LoadFiles(files []File, opts Options) (*Config, *Report) {
	hash := sha256.New()
	l := newLoader(files[0].Name, opts)
	readable := true
	for i := range files {
		f := &files[i]
		l.report.order = append(l.report.order, f.Name)
		if i > 0 {
			hash.Write([]byte("\n# " + filepath.Base(f.Name) + "\n"))
		}
		hash.Write(f.Data)
		readable = l.parse(f) && readable
	}
	l.cfg.Path, l.cfg.Hash = files[0].Name, hex.EncodeToString(hash.Sum(nil))
	if readable {
		l.bind()
		l.check()
	}
	l.loaded = true
	for i := range files {
		if p, bad := files[i].writable(); bad {
			l.report.Problems = append(l.report.Problems, p)
		}
	}
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
	tree   map[string]any // all files as the parser gives them
	file   fileTable      // the same as it is written, with defaults
	cfg    *Config
	loaded bool // an output's Decode called from now on doesn't add to the report

	broken  map[string]bool // keys whose value could not be read: rules about them would only repeat that
	secrets map[secret.Ref]resolved
	listens []listenUse // every address that will be listened on, to find clashes

	certificates map[string]bool // of outputs, warned of

	outputs []outputSettings // as their kinds have completed them
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
		tree:    map[string]any{},
		at:      locations{},
		file:    newFileTable(),
		cfg:     &Config{},
		secrets: map[secret.Ref]resolved{},
		broken:  map[string]bool{},

		certificates: map[string]bool{},
	}
}

// parse reads the syntax of one file; without it nothing else can be checked.
func (l *loader) parse(f *File) bool {
	src, tree := string(f.Data), map[string]any{}
	_, err := toml.Decode(src, &tree)
	if err != nil {
		p := syntaxProblem(src, err)
		p.File = f.Name
		l.report.Problems = append(l.report.Problems, p)
		return false
	}
	l.merge(tree, locate(src, f.Name))
	return true
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
			l.cause(at, text, hint)
			l.broken[at.String()] = true
		},
		elsewhere: tablesOf(),
	}
}

// cause reports what can't be read or is not known. It comes before what follows from it: a table lacks what is misspelt in it.
func (l *loader) cause(p keyPath, text, hint string) {
	found := l.problem(Error, p, hint, text)
	found.cause = true
	l.note(p, found)
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
	l.collect()
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
	if at.file == "" {
		at.file = l.report.File
	}
	return Problem{
		Severity: s, File: at.file, Line: at.line, Column: at.column,
		Key: p.String(), Text: display.Line(text), Hint: display.Line(hint),
	}
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
		l.warnf(at, "run it as root; what an EnvironmentFile= sets is never seen", "%s is out of reach and not checked: it exists inside of the service only", ref)
	}
}
