package systemd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Unit is what the service manager grants a service, as `systemctl show` tells it: as whom it runs, which credentials it is handed and
// which paths it may read and write. The names are those of systemd.exec(5).
type Unit struct {
	Name    string
	User    string
	Group   string
	Groups  []string // SupplementaryGroups=
	Command string   // ExecStart=, as systemctl writes it

	LoadCredential   map[string]string // name to where it is loaded from
	OtherCredentials []string          // names of those that are set, encrypted or imported: nobody but the manager can look at them
	Environment      map[string]string
	HasEnvFiles      bool // EnvironmentFile= adds variables that are not in Environment

	Directories   map[string][]string // State, Runtime, Logs and Cache to absolute paths: the manager makes them for the user
	WritablePaths []string            // ReadWritePaths=, and where PrivateTmp= puts files of its own
	ReadOnlyPaths []string            // below which nothing can be written, unless a writable path is nearer
	HiddenPaths   []string            // below which nothing can be seen
	MemoryHigh    int64               // bytes; 0: none

	Socket string // the socket unit's state: "active", "inactive", ...; empty: there is no socket unit
}

// ErrNoUnit says that the service manager does not know the unit, or that there is no service manager.
var ErrNoUnit = errors.New("no such unit")

// properties are what ShowUnit asks for.
const properties = "LoadState,User,Group,SupplementaryGroups,ExecStart,Environment,EnvironmentFiles,StateDirectory,RuntimeDirectory,LogsDirectory,CacheDirectory,ReadWritePaths,ReadOnlyPaths," +
	"InaccessiblePaths,ProtectSystem,ProtectHome,PrivateTmp,MemoryHigh"

// ShowUnit asks systemctl for the service name ("linuxguard-bridge") and its socket unit. run runs systemctl with the arguments and
// returns what it printed. The error is ErrNoUnit, or wraps it, when nothing can be learnt.
func ShowUnit(ctx context.Context, name string, run func(ctx context.Context, args ...string) ([]byte, error)) (*Unit, error) {
	out, err := run(ctx, "show", name+".service", "--property="+properties)
	if err != nil {
		return nil, fmt.Errorf("%w: systemctl: %w", ErrNoUnit, err)
	}
	shown := parseShow(string(out))
	if shown.first("LoadState") != "loaded" {
		return nil, fmt.Errorf("%w: %s.service is not installed", ErrNoUnit, name)
	}
	u := newUnit(name+".service", shown)
	if out, err := run(ctx, "cat", name+".service"); err == nil {
		u.credentials(string(out))
	}
	if out, err := run(ctx, "show", name+".socket", "--property=LoadState,ActiveState"); err == nil {
		if s := parseShow(string(out)); s.first("LoadState") == "loaded" {
			u.Socket = s.first("ActiveState")
		}
	}
	return u, nil
}

// shownProperties are systemctl's lines, NAME=VALUE; some names have several.
type shownProperties map[string][]string

func parseShow(text string) shownProperties {
	shown := shownProperties{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok && value != "" {
			shown[name] = append(shown[name], value)
		}
	}
	return shown
}

func (s shownProperties) first(name string) string {
	if len(s[name]) == 0 {
		return ""
	}
	return s[name][0]
}

// list returns the words of a property; quotes and escapes are systemd's.
func (s shownProperties) list(name string) []string {
	var all []string
	for _, value := range s[name] {
		all = append(all, words(value)...)
	}
	return all
}

func newUnit(name string, s shownProperties) *Unit {
	u := &Unit{
		Name: name, User: s.first("User"), Group: s.first("Group"), Groups: s.list("SupplementaryGroups"), Command: s.first("ExecStart"),
		LoadCredential: map[string]string{}, Environment: map[string]string{}, Directories: map[string][]string{},
		HasEnvFiles:   len(s["EnvironmentFiles"]) > 0,
		WritablePaths: paths(s.list("ReadWritePaths")), ReadOnlyPaths: paths(s.list("ReadOnlyPaths")), HiddenPaths: paths(s.list("InaccessiblePaths")),
	}
	for _, pair := range s.list("Environment") {
		variable, value, _ := strings.Cut(pair, "=")
		u.Environment[variable] = value
	}
	for kind, base := range map[string]string{"State": "/var/lib", "Runtime": "/run", "Logs": "/var/log", "Cache": "/var/cache"} {
		for _, folder := range s.list(kind + "Directory") {
			folder, _, _ = strings.Cut(folder, ":") // the name of a symbolic link to it may follow
			u.Directories[kind] = append(u.Directories[kind], filepath.Join(base, folder))
		}
	}
	u.protect(s)
	if n, err := strconv.ParseUint(s.first("MemoryHigh"), 10, 63); err == nil { // else "infinity"
		u.MemoryHigh = int64(n)
	}
	return u
}

// credentials reads the unit's files, as `systemctl cat` shows them: "systemctl show" can't print credentials (systemd 252 to 257).
func (u *Unit) credentials(files string) {
	for line := range strings.Lines(strings.ReplaceAll(files, "\\\n", " ")) {
		setting, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if !found || strings.HasPrefix(setting, "#") || strings.HasPrefix(setting, ";") {
			continue
		}
		value = strings.TrimSpace(value)
		id, from, _ := strings.Cut(value, ":")
		switch setting = strings.TrimSpace(setting); {
		case setting == "LoadCredential" && value == "":
			clear(u.LoadCredential)
		case setting == "LoadCredential":
			u.LoadCredential[id] = from
		case value == "":
		case setting == "LoadCredentialEncrypted", setting == "SetCredential", setting == "SetCredentialEncrypted", setting == "ImportCredential":
			u.OtherCredentials = append(u.OtherCredentials, id)
		}
	}
}

// protect adds what the settings with a name stand for (systemd.exec(5), "Sandboxing").
func (u *Unit) protect(s shownProperties) {
	switch s.first("ProtectSystem") {
	case "strict":
		u.ReadOnlyPaths = append(u.ReadOnlyPaths, "/")
		u.WritablePaths = append(u.WritablePaths, "/dev", "/proc", "/sys")
	case "full":
		u.ReadOnlyPaths = append(u.ReadOnlyPaths, "/usr", "/boot", "/efi", "/etc")
	case "yes":
		u.ReadOnlyPaths = append(u.ReadOnlyPaths, "/usr", "/boot", "/efi")
	}
	homes := []string{"/home", "/root", "/run/user"}
	switch s.first("ProtectHome") {
	case "yes", "tmpfs":
		u.HiddenPaths = append(u.HiddenPaths, homes...)
	case "read-only":
		u.ReadOnlyPaths = append(u.ReadOnlyPaths, homes...)
	}
	if t := s.first("PrivateTmp"); t != "" && t != "no" {
		u.HiddenPaths = append(u.HiddenPaths, "/tmp", "/var/tmp")
	}
	for _, folders := range u.Directories {
		u.WritablePaths = append(u.WritablePaths, folders...)
	}
}

// Env stands for the environment that the service will have.
func (u *Unit) Env(variable string) string {
	if kind, ok := strings.CutSuffix(variable, "_DIRECTORY"); ok && kind != "" {
		kind = kind[:1] + strings.ToLower(kind[1:])
		return strings.Join(u.Directories[kind], ":")
	}
	return u.Environment[variable]
}

// MakesDirectory reports whether the manager makes the folder of path, or one above it, before the service starts.
func (u *Unit) MakesDirectory(path string) bool {
	for _, folders := range u.Directories {
		if depth(folders, path) > 0 {
			return true
		}
	}
	return false
}

// CanRead returns an error that names what to do when the unit hides path from the service.
func (u *Unit) CanRead(path string) error {
	if depth(u.HiddenPaths, path) > max(depth(u.WritablePaths, path), 0) {
		return fmt.Errorf("%s hides %s from the service (ProtectHome=, PrivateTmp= or InaccessiblePaths=): put the file elsewhere, below /etc/linuxguard-bridge for instance", u.Name, path)
	}
	return nil
}

// CanWrite is CanRead for a file that the service is to write.
func (u *Unit) CanWrite(path string) error {
	if err := u.CanRead(path); err != nil {
		return err
	}
	if depth(u.ReadOnlyPaths, path) > depth(u.WritablePaths, path) {
		folder := filepath.Dir(path)
		return fmt.Errorf("%s lets the service write below %s only: use one of them, or type: systemctl edit %s, and add the lines [Service] and ReadWritePaths=%s",
			u.Name, strings.Join(u.named(), ", "), strings.TrimSuffix(u.Name, ".service"), folder)
	}
	return nil
}

// named are the writable paths without those that every service has.
func (u *Unit) named() []string {
	return slices.DeleteFunc(slices.Sorted(slices.Values(u.WritablePaths)), func(p string) bool { return p == "/dev" || p == "/proc" || p == "/sys" })
}

// depth is how long the nearest of folders is that path is in; 0: it is in none.
func depth(folders []string, path string) int {
	deepest := 0
	for _, folder := range folders {
		if folder == "/" || path == folder || strings.HasPrefix(path, folder+"/") {
			deepest = max(deepest, len(folder))
		}
	}
	return deepest
}

// paths takes off the marks "-" (may be missing) and "+" (below the root directory of the unit).
func paths(list []string) []string {
	for i, p := range list {
		list[i] = strings.TrimLeft(p, "-+")
	}
	return list
}

// words splits a line as systemd quotes it: blanks part words, quotes hold them together, a backslash takes the next character as it is.
func words(line string) []string {
	var all []string
	var word strings.Builder
	quote, begun, escaped := rune(0), false, false
	for _, r := range line {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped, begun = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, begun = r, true
		case quote == 0 && (r == ' ' || r == '\t'):
			if begun {
				all = append(all, word.String())
				word.Reset()
			}
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if begun {
		all = append(all, word.String())
	}
	return all
}
