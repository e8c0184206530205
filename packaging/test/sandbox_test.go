//go:build packages

package packagetest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// probeDropIn makes the unit run the probe instead of the daemon; each of its directives stays.
const probeDropIn = `[Service]
Type=oneshot
NotifyAccess=none
WatchdogSec=0
Restart=no
RestartPreventExitStatus=
RestartForceExitStatus=
ExecStart=
ExecStart=/opt/probe
Environment=` + roleVariable + `=probe
StandardOutput=file:/root/probe.json`

// TestSandbox looks at the sandbox from inside: what the unit forbids is refused there, what the daemon needs works,
// and the same user outside of the unit can do what needs no privilege, so that a refusal proves the directive.
func TestSandbox(t *testing.T) {
	t.Parallel()
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			c := boot(t, suite)
			c.run(apt("install " + deb(newVersion)))
			configure(c)
			c.run("mkdir -m 777 /srv/open /home/open && touch /tmp/marker /dev/open && chmod 644 /tmp/marker /dev/open && ip route add 239.255.0.0/16 dev lo")
			c.write("/run/systemd/system/linuxguard-bridge.service.d/probe.conf", probeDropIn)
			c.run("systemctl daemon-reload && systemctl start linuxguard-bridge.service")
			inside := c.report("cat /root/probe.json")
			c.run("install -d -o linuxguard-bridge /run/linuxguard-bridge /var/lib/linuxguard-bridge /var/log/linuxguard-bridge")
			outside := c.report("systemd-run --quiet --pipe --wait --property=User=linuxguard-bridge --setenv=" + roleVariable + "=probe /opt/probe")
			judge(t, inside, outside)
		})
	}
}

func (c *container) report(script string) report {
	c.t.Helper()
	var r report
	if err := json.Unmarshal([]byte(c.run(script)), &r); err != nil {
		c.t.Fatalf("the probe's report: %v", err)
	}
	return r
}

func judge(t *testing.T, inside, outside report) {
	t.Helper()
	for i, a := range attempts {
		if inside.Attempts[i].Error == "" {
			t.Errorf("%s: possible inside of the unit", a.name)
		}
		if a.free && outside.Attempts[i].Error != "" {
			t.Errorf("%s: refused outside of the unit too (%s), which proves nothing", a.name, outside.Attempts[i].Error)
		}
		t.Logf("%-50s inside: %s", a.name, inside.Attempts[i].Error)
	}
	for _, f := range inside.Needed {
		if f.Error != "" {
			t.Errorf("the daemon needs to %s: %s", f.Name, f.Error)
		}
	}
	none := strings.Repeat("0", 16)
	for key, want := range map[string]string{"CapEff": none, "CapPrm": none, "CapBnd": none, "CapAmb": none, "NoNewPrivs": "1", "Seccomp": "2"} {
		if got := inside.Status[key]; got != want {
			t.Errorf("%s is %s inside of the unit, want %s", key, got, want)
		}
	}
	if umask := inside.Status["Umask"]; umask != "0077" {
		t.Errorf("Umask is %s", umask)
	}
	if !slices.ContainsFunc(outside.Attempts, func(f finding) bool { return f.Error == "" }) {
		t.Error("nothing was possible outside of the unit either")
	}
}
