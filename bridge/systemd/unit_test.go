package systemd_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/systemd"
)

const shown = `LoadState=loaded
User=linuxguard-bridge
Group=linuxguard-bridge
ExecStart={ path=/usr/bin/linuxguard-bridge ; argv[]=/usr/bin/linuxguard-bridge run --config /etc/linuxguard-bridge/config.toml ; ignore_errors=no ; pid=0 }
Environment=GOTRACEBACK=crash "SECRET=two words" QUOTED=a\"b
EnvironmentFiles=/etc/default/bridge (ignore_errors=yes)
StateDirectory=linuxguard-bridge second:link
RuntimeDirectory=linuxguard-bridge
LogsDirectory=linuxguard-bridge
ReadWritePaths=-/srv/signals "/srv/with blank"
ReadOnlyPaths=/srv/signals/fixed
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
MemoryHigh=536870912
`

const files = `# /usr/lib/systemd/system/linuxguard-bridge.service
[Service]
LoadCredential=old:/etc/old
LoadCredential=webhook-secret:/etc/linuxguard-bridge/credentials/webhook-secret
# LoadCredential=comment:/x
LoadCredentialEncrypted=locked:/etc/locked

# /etc/systemd/system/linuxguard-bridge.service.d/override.conf
[Service]
LoadCredential=
LoadCredential=webhook-secret:/elsewhere
SetCredential=set:value
LoadCredential = \
  split:/etc/split
`

func show(t *testing.T, answers map[string]string) (*systemd.Unit, error) {
	t.Helper()
	return systemd.ShowUnit(t.Context(), "linuxguard-bridge", func(_ context.Context, args ...string) ([]byte, error) {
		text, ok := answers[args[0]+" "+args[1]]
		if !ok {
			return nil, errors.New("exit status 1")
		}
		return []byte(text), nil
	})
}

func TestShowUnit(t *testing.T) {
	t.Parallel()
	u, err := show(t, map[string]string{
		"show linuxguard-bridge.service": shown, "cat linuxguard-bridge.service": files,
		"show linuxguard-bridge.socket": "LoadState=loaded\nActiveState=active\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	if u.User != "linuxguard-bridge" || u.MemoryHigh != 512<<20 || u.Socket != "active" || !u.HasEnvFiles || !strings.Contains(u.Command, "/etc/linuxguard-bridge/config.toml") {
		t.Errorf("got %+v", u)
	}
	if len(u.LoadCredential) != 2 || u.LoadCredential["webhook-secret"] != "/elsewhere" || u.LoadCredential["split"] != "/etc/split" || !slices.Equal(u.OtherCredentials, []string{"locked", "set"}) {
		t.Errorf("credentials %v and %v", u.LoadCredential, u.OtherCredentials)
	}
	for variable, want := range map[string]string{
		"SECRET": "two words", "QUOTED": `a"b`, "GOTRACEBACK": "crash", "NONE": "",
		"STATE_DIRECTORY": "/var/lib/linuxguard-bridge:/var/lib/second", "RUNTIME_DIRECTORY": "/run/linuxguard-bridge", "CACHE_DIRECTORY": "",
	} {
		if got := u.Env(variable); got != want {
			t.Errorf("$%s is %q, want %q", variable, got, want)
		}
	}
	for path, want := range map[string]string{ // r: read only, w: written as well, "": hidden
		"/etc/linuxguard-bridge/config.toml": "r", "/var/lib/linuxguard-bridge/x": "w", "/var/lib/linuxguard-bridge": "w", "/var/lib/linuxguard-bridge2": "r",
		"/var/log/linuxguard-bridge/a/b": "w", "/srv/signals/x": "w", "/srv/signals/fixed/x": "r", "/srv/with blank/x": "w", "/srv/x": "r",
		"/root/x": "", "/home/me/x": "", "/tmp/x": "", "/var/tmp/x": "", "/dev/null": "w",
	} {
		got := ""
		if u.CanRead(path) == nil {
			got = "r"
		}
		if u.CanWrite(path) == nil {
			got = "w"
		}
		if got != want {
			t.Errorf("%s: %q, want %q (%v, %v)", path, got, want, u.CanRead(path), u.CanWrite(path))
		}
	}
	if err := u.CanWrite("/srv/x/y"); err == nil || !strings.Contains(err.Error(), "ReadWritePaths=/srv/x") || strings.Contains(err.Error(), "/proc") {
		t.Errorf("got %v", err)
	}
	if !u.MakesDirectory("/run/linuxguard-bridge/admin.sock") || u.MakesDirectory("/run/x") {
		t.Error("the folders that systemd makes are others")
	}
}

func TestShowUnitIsNotThere(t *testing.T) {
	t.Parallel()
	for name, answers := range map[string]map[string]string{
		"no systemd":    nil,
		"not installed": {"show linuxguard-bridge.service": "LoadState=not-found\nUser=\n"},
		"no output":     {"show linuxguard-bridge.service": ""},
	} {
		if u, err := show(t, answers); !errors.Is(err, systemd.ErrNoUnit) {
			t.Errorf("%s: %+v, %v", name, u, err)
		}
	}
	u, err := show(t, map[string]string{"show linuxguard-bridge.service": "LoadState=loaded\nProtectSystem=full\nProtectHome=read-only\nMemoryHigh=infinity\n"})
	if err != nil || u.MemoryHigh != 0 || u.Socket != "" || u.CanWrite("/etc/x") == nil || u.CanWrite("/home/x") == nil || u.CanWrite("/srv/x") != nil || u.CanRead("/home/x") != nil {
		t.Errorf("%+v, %v", u, err)
	}
}
