// Package secret holds values that must never be printed, and the references that the configuration uses in their
// place: "credential:NAME" ($CREDENTIALS_DIRECTORY, systemd), "file:/path" and "env:NAME".
package secret

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// Value is a secret in clear. It prints itself as [redacted] in every fmt, slog, JSON and TOML form, so that it can
// be passed around and logged by mistake without leaking.
type Value struct{ clear string }

const redacted = "[redacted]"

// NewValue wraps clear, for tests and for values that the program makes up itself.
func NewValue(clear string) Value { return Value{clear} }

// Reveal returns the secret in clear. Every use of it is a place to look at in a review.
func (v Value) Reveal() string { return v.clear }

// IsZero reports whether there is no secret at all.
func (v Value) IsZero() bool { return v.clear == "" }

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
	return rest != "" && (scheme == "credential" || scheme == "file" || scheme == "env")
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
	getenv func(string) string
}

// NewResolver returns a Resolver that reads the environment through getenv (os.Getenv outside of tests).
func NewResolver(getenv func(string) string) *Resolver { return &Resolver{getenv: getenv} }

// Resolve returns the value behind ref with one trailing newline (LF or CRLF) stripped. It fails when ref has no
// known scheme, the source is missing, too large or empty, or when a file: path is readable by other users.
func (r *Resolver) Resolve(ref Ref) (Value, error) {
	scheme, rest, ok := strings.Cut(string(ref), ":")
	if !ok || rest == "" {
		return Value{}, errors.New(`a secret is a reference: "credential:NAME", "file:/path" or "env:NAME"`)
	}
	var clear string
	var err error
	switch scheme {
	case "credential":
		clear, err = r.credential(rest)
	case "file":
		clear, err = readPrivate(rest)
	case "env":
		clear = r.getenv(rest)
	default:
		return Value{}, fmt.Errorf(`unknown kind of secret %q: use "credential:NAME", "file:/path" or "env:NAME"`, scheme)
	}
	if err != nil {
		return Value{}, fmt.Errorf("secret %s: %w", ref, err)
	}
	clear = strings.TrimSuffix(strings.TrimSuffix(clear, "\n"), "\r")
	if clear == "" {
		return Value{}, fmt.Errorf("secret %s: %w", ref, ErrEmpty)
	}
	return Value{clear}, nil
}

func (r *Resolver) credential(name string) (string, error) {
	dir := r.getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return "", errors.New("$CREDENTIALS_DIRECTORY is not set: credentials come from systemd (LoadCredential= in the unit)")
	}
	if name != filepath.Base(name) || name == ".." || name == "." {
		return "", errors.New("a credential's name holds no slash")
	}
	return readBounded(filepath.Join(dir, name))
}

// readPrivate refuses a file that other users can read: a secret that everybody can read is none.
func readPrivate(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", errors.New("the path must be absolute")
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("%w: other users can access it (mode %04o): chmod o= %s", fs.ErrPermission, info.Mode().Perm(), path)
	}
	return readBounded(path)
}

func readBounded(path string) (string, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file in the configuration
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // read only
	b, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return "", err
	}
	if len(b) > MaxBytes {
		return "", fmt.Errorf("longer than %d bytes", MaxBytes)
	}
	return string(b), nil
}
