// Package secret holds values that must never be printed, and the references that the configuration uses in their
// place: "credential:NAME" ($CREDENTIALS_DIRECTORY, systemd), "file:/path" and "env:NAME".
package secret

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"unicode"
	"unique"

	"golang.org/x/sys/unix"

	"github.com/linuxguard/linuxguard-bridge/bridge/permission"
)

// Value is a secret in clear. It prints itself as [redacted] in every fmt, slog, JSON and TOML form, so that it can
// be passed around and logged by mistake without leaking. Values are equal (==) when their secrets are.
//
// The text stands behind a handle because fmt can't call the methods of an unexported field: it shows what is in it,
// and of a handle that is an address.
type Value struct{ clear unique.Handle[string] }

const redacted = "[redacted]"

// NewValue wraps clear, for tests and for values that the program makes up itself.
func NewValue(clear string) Value {
	if clear == "" {
		return Value{}
	}
	return Value{unique.Make(clear)}
}

// Reveal returns the secret in clear. Every use of it is a place to look at in a review.
func (v Value) Reveal() string {
	if v.IsZero() {
		return ""
	}
	return v.clear.Value()
}

// IsZero reports whether there is no secret at all.
func (v Value) IsZero() bool { return v == Value{} }

// String implements fmt.Stringer.
func (v Value) String() string { return redacted }

// GoString implements fmt.GoStringer (%#v).
func (v Value) GoString() string { return redacted }

// Format implements fmt.Formatter, so that no verb reaches the field.
func (v Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText implements encoding.TextMarshaler.
func (v Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer.
func (v Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// Ref is a reference to a secret as the configuration file holds it. It is not secret itself.
type Ref string

// IsValid reports whether r is written like a reference. Anything else may be a secret in clear that somebody wrote in
// the wrong place, so it must not be shown.
func (r Ref) IsValid() bool {
	scheme, rest, _ := strings.Cut(string(r), ":")
	blank := strings.ContainsFunc(rest, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
	return rest != "" && (!blank && (scheme == "credential" || scheme == "env") || scheme == "file" && filepath.IsAbs(rest))
}

// Name is what logs and metrics call the secret: the credential's or variable's name, or the file's base name.
func (r Ref) Name() string {
	if !r.IsValid() {
		return "invalid"
	}
	_, rest, _ := strings.Cut(string(r), ":")
	return filepath.Base(rest)
}

// MaxBytes bounds what is read of a secret's file.
const MaxBytes = 64 << 10

// ErrEmpty says that the reference resolved to nothing: an unset variable or an empty file, which must never become
// an empty HMAC key or token.
var ErrEmpty = errors.New("the secret is empty")

// Resolver looks references up. The zero value is not usable; see NewResolver.
type Resolver struct {
	getenv    func(string) string
	fallbacks []string // where to look for credentials when the environment names no directory
	pretend   bool     // stand in for what is out of reach
	handed    *Handed  // nil: not known
}

// NewResolver returns a Resolver that reads the environment through getenv (os.Getenv outside of tests).
func NewResolver(getenv func(string) string) *Resolver { return &Resolver{getenv: getenv} }

// NewOutsideResolver returns a Resolver for commands outside of the service, where systemd has set no
// $CREDENTIALS_DIRECTORY. It looks into directories instead, in their order: root can read /run/credentials/UNIT while
// the service runs (systemd.exec(5)), and the folder that the unit loads them from.
func NewOutsideResolver(getenv func(string) string, directories ...string) *Resolver {
	return &Resolver{getenv: getenv, fallbacks: directories}
}

// NewCheckResolver is NewOutsideResolver for looking at a configuration only. A credential that is out of reach is
// Unseen and resolves to a made-up value, so that the rest of the file can be checked. Send nothing with it.
func NewCheckResolver(getenv func(string) string, directories ...string) *Resolver {
	return &Resolver{getenv: getenv, fallbacks: directories, pretend: true}
}

// Credential is one that the service manager hands to the service when it starts.
type Credential struct {
	Clear  string // what it holds
	Err    error  // why the manager can't hand it over
	Unseen bool   // it will be there, and can't be looked at from here
}

// Handed is all that the service manager hands to the service.
type Handed struct {
	Credentials map[string]Credential // by their names
	Getenv      func(string) string
	MoreEnv     bool // files add variables that can't be looked at from here
}

// NewServiceResolver returns a Resolver that judges as the service will find it. With pretend, what is Unseen resolves to a made-up value, else
// to an error.
func NewServiceResolver(handed Handed, pretend bool) *Resolver {
	return &Resolver{getenv: handed.Getenv, handed: &handed, pretend: pretend}
}

// Unseen reports whether Resolve returns a made-up value for ref.
func (r *Resolver) Unseen(ref Ref) bool {
	scheme, name, _ := strings.Cut(string(ref), ":")
	switch {
	case !r.pretend:
		return false
	case scheme == "env":
		known := r.handed == nil && r.getenv(credentialsVariable) != "" || r.handed != nil && !r.handed.MoreEnv
		return !known && name != "" && r.getenv(name) == ""
	case scheme != "credential" || !isFileName(name):
		return false
	case r.handed != nil:
		return r.handed.Credentials[name].Unseen
	case r.getenv(credentialsVariable) != "":
		return false
	}
	_, found := r.outside(name)
	return !found
}

// outside returns the first directory of the fallbacks that has a credential which we can read.
func (r *Resolver) outside(name string) (directory string, found bool) {
	for _, dir := range r.fallbacks {
		if unix.Access(filepath.Join(dir, name), unix.R_OK) == nil {
			return dir, true
		}
	}
	return "", false
}

// credentialsVariable names the folder in which systemd puts a service's credentials (systemd.exec(5)).
const credentialsVariable = "CREDENTIALS_DIRECTORY"

func isFileName(name string) bool { return name == filepath.Base(name) && name != ".." && name != "." }

// errForm says what a reference looks like. It never repeats what stood there instead: that may be the secret itself.
var errForm = errors.New(`a secret is a reference: "credential:NAME", "file:/path" or "env:NAME"`)

// Resolve returns the value behind ref with one trailing newline (LF or CRLF) stripped. It fails when ref is no
// reference, the source is missing, no regular file, too large or empty, or when a file: is open to other users.
func (r *Resolver) Resolve(ref Ref) (Value, error) {
	if !ref.IsValid() {
		return Value{}, errForm
	}
	scheme, rest, _ := strings.Cut(string(ref), ":")
	var clear string
	var err error
	switch scheme {
	case "credential":
		clear, err = r.credential(rest)
	case "file":
		clear, err = readPrivate(rest)
	default:
		if clear, err = r.variable(rest); err != nil && r.Unseen(ref) {
			clear, err = madeUp(rest), nil
		}
	}
	if err == nil && stripNewline(clear) == "" {
		err = ErrEmpty
	}
	if err != nil {
		return Value{}, fmt.Errorf("secret %s: %w", ref, err)
	}
	return NewValue(stripNewline(clear)), nil
}

// stripNewline takes off the one line end that editors and echo put behind a secret.
func stripNewline(text string) string {
	if stripped, ok := strings.CutSuffix(text, "\r\n"); ok {
		return stripped
	}
	return strings.TrimSuffix(text, "\n")
}

func (r *Resolver) variable(name string) (string, error) {
	value := r.getenv(name)
	if value == "" {
		return "", fmt.Errorf("%w: the variable is not set", ErrEmpty)
	}
	return value, nil
}

func (r *Resolver) credential(name string) (string, error) {
	if !isFileName(name) {
		return "", errors.New("a credential's name holds no slash")
	}
	if r.handed != nil {
		return r.fromManager(name)
	}
	dir := r.getenv(credentialsVariable)
	if dir == "" && len(r.fallbacks) > 0 {
		var found bool
		if dir, found = r.outside(name); !found && r.pretend {
			return madeUp(name), nil
		} else if !found {
			return "", fmt.Errorf("credentials are the running service's, and root's to read: it is not in %s", strings.Join(r.fallbacks, " or "))
		}
	}
	if dir == "" {
		return "", errors.New("$CREDENTIALS_DIRECTORY is not set: credentials come from systemd (LoadCredential= in the unit)")
	}
	clear, err := readFile(filepath.Join(dir, name), nil)
	if errors.Is(err, fs.ErrNotExist) {
		return "", notLoaded(name)
	}
	return clear, err
}

// fromManager returns what the service manager will hand over.
func (r *Resolver) fromManager(name string) (string, error) {
	c, loaded := r.handed.Credentials[name]
	switch {
	case !loaded:
		return "", notLoaded(name)
	case c.Unseen && r.pretend:
		return madeUp(name), nil
	case c.Unseen:
		return "", errors.New("only root and the service manager can read it")
	}
	return c.Clear, c.Err
}

// madeUp stands for a credential that can't be read: without a blank, as tokens are; with a colon, as user:password has.
func madeUp(name string) string {
	return "not-known-outside-of-the-service:" + strings.Map(func(r rune) rune {
		if r <= ' ' {
			return '_'
		}
		return r
	}, name)
}

// notLoaded says what makes the manager hand a credential over.
func notLoaded(name string) error {
	return fmt.Errorf("the service is handed no credential of this name: type systemctl edit linuxguard-bridge, add the lines [Service] and "+
		"LoadCredential=%s:/etc/linuxguard-bridge/credentials/%s, put it there and restart", name, name)
}

// readPrivate refuses a file that other users can read or write: a secret that everybody can read is none.
func readPrivate(path string) (string, error) {
	return readFile(path, func(info fs.FileInfo) error {
		if mode := info.Mode().Perm(); mode&0o007 != 0 {
			return fmt.Errorf("%w: other users can access it (mode %04o): chmod o= %s", fs.ErrPermission, mode, path)
		}
		return nil
	})
}

// readFile reads a file that check accepts, at most MaxBytes of it.
func readFile(path string, check func(fs.FileInfo) error) (string, error) {
	b, err := permission.ReadRegular(path, MaxBytes, check)
	if err != nil {
		return "", reason(err)
	}
	return string(b), nil
}

// reason is a file error without the operation and the path, which the reference shows already, and with a remedy.
func reason(err error) error {
	p := new(fs.PathError)
	if errors.As(err, &p) && errors.Is(err, fs.ErrPermission) {
		if remedy := permission.Remedy(p.Path, permission.Read); remedy != "" {
			return fmt.Errorf("%w: %s", p.Err, remedy)
		}
	}
	return permission.Reason(err)
}
