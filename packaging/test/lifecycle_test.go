//go:build packages

package packagetest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// siem is rsyslog's side: it writes the message of every record that comes in by TCP into one file.
const siem = `module(load="imtcp")
template(name="line" type="string" string="%app-name% %structured-data%\n")
ruleset(name="siem") { action(type="omfile" file="/var/log/siem.log" template="line" asyncWriting="off" flushOnTXEnd="on") }
input(type="imtcp" port="10514" address="127.0.0.1" ruleset="siem" SupportOctetCountedFraming="on")`

// siemOutput is what an operator adds to the installed configuration.
const siemOutput = `
[output.siem]
type = "syslog"
addresses = ["tcp://127.0.0.1:10514"]
app_name = "first"`

const configFile = "/etc/linuxguard-bridge/config.toml"

// TestLifecycle is the life of a .deb: from its installation to its purge, in one system, in this order.
func TestLifecycle(t *testing.T) {
	t.Parallel()
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			c := boot(t, suite)
			before := c.files()
			for _, step := range []struct {
				name string
				do   func(*container)
			}{
				{"Install", install}, {"Unconfigured", unconfigured}, {"Configure", configure}, {"CheckAsService", checkAsService}, {"Start", start},
				{"Reload", reload}, {"EarlyHangup", earlyHangup}, {"MissingCredential", missingCredential}, {"Logrotate", logrotate}, {"RotatedSecret", rotatedSecret}, {"RunAsRoot", runAsRoot}, {"Watchdog", watchdog}, {"Crash", crash}, {"BrokenConfiguration", brokenConfiguration},
				{"SecretFile", secretInFile}, {"LowPorts", lowPorts}, {"UnusedSocket", unusedSocket}, {"Socket", socketActivation}, {"BrokenBehindSocket", brokenBehindSocket},
				{"RestartUnderLoad", restartUnderLoad}, {"Queue", queueSurvives}, {"Remove", remove},
				{"Purge", func(c *container) { purge(c, before) }},
			} {
				if !t.Run(step.name, func(t *testing.T) {
					inner := *c
					inner.t = t
					step.do(&inner)
				}) {
					return // what follows needs what came before
				}
			}
		})
	}
}

func deb(version string) string {
	return fmt.Sprintf("/packages/%s/linuxguard-bridge_%s-1_$(dpkg --print-architecture).deb", version, version)
}

func apt(arguments string) string {
	return "apt-get -qq -y -o Dpkg::Use-Pty=0 --allow-downgrades " + arguments + " 2>&1"
}

// install: nothing is started, the operator is told in three lines what to do, and owners and modes are right.
func install(c *container) {
	said := c.run(apt("install " + deb(oldVersion)))
	if i := strings.Index(said, "linuxguard-bridge is installed, not started."); i < 0 || strings.Count(said[i:], "\n") > 3 {
		c.t.Errorf("the three lines are missing:\n%s", said)
	}
	c.expect("inactive", "systemctl is-active linuxguard-bridge || true")
	c.expect("disabled", "systemctl is-enabled linuxguard-bridge || true")
	for path, want := range map[string]string{
		"/etc/linuxguard-bridge": "750 root linuxguard-bridge", configFile: "640 root linuxguard-bridge",
		"/etc/linuxguard-bridge/credentials": "700 root root", "/etc/linuxguard-bridge/tls": "750 root linuxguard-bridge",
		"/usr/bin/linuxguard-bridge": "755 root root",
	} {
		c.expect(want, "stat -c '%a %U %G' "+path)
	}
	c.expect("/var/lib/linuxguard-bridge:/usr/sbin/nologin", "getent passwd linuxguard-bridge | cut -d: -f6-")
	c.expect("linuxguard-bridge "+oldVersion, "linuxguard-bridge version | cut -d' ' -f1,2")
	c.run("dpkg --verify linuxguard-bridge")
	c.run("systemd-analyze verify --man=no /usr/lib/systemd/system/linuxguard-bridge.service /usr/lib/systemd/system/linuxguard-bridge.socket 2>&1 | { ! grep .; }")
	c.t.Logf("%s", c.run("said=$(systemd-analyze security --threshold=10 linuxguard-bridge.service) && echo \"$said\" | tail -n 1"))
}

// unconfigured: check says what is missing, and a start fails at once and for good.
func unconfigured(c *container) {
	if said := c.refuses(2, "linuxguard-bridge check"); !strings.Contains(said, "webhook-secret") || !strings.Contains(said, "cert.pem") {
		c.t.Errorf("check doesn't name what is missing:\n%s", said)
	}
	c.refuses(1, "systemctl start linuxguard-bridge")
	c.expect("failed", "systemctl is-active linuxguard-bridge || true")
	c.run("systemctl reset-failed linuxguard-bridge")
}

// siemAndSecrets makes what an operator has before: a SIEM, a certificate and LinuxGuard's secret.
func (c *container) siemAndSecrets() {
	c.t.Helper()
	c.write("/etc/rsyslog.d/siem.conf", siem)
	c.run("systemctl restart rsyslog")
	c.run("openssl rand -hex 32 >/root/secret.txt")
	c.run("echo 127.0.0.1 localhost >>/etc/hosts")
	c.run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout /root/key.pem -out /root/cert.pem 2>&1")
}

// configure is what the README tells an operator to do. check passes after it.
func configure(c *container) {
	c.siemAndSecrets()
	c.run("install -m 640 -g linuxguard-bridge /root/cert.pem /root/key.pem /etc/linuxguard-bridge/tls/")
	c.run("install -m 600 /root/secret.txt " + secretFile)
	c.run("linuxguard-bridge check") // with the configuration as it was installed
	c.run("cat >>" + configFile + " <<'END'\n" + siemOutput + "\nEND")
	c.expect("640 root linuxguard-bridge", "stat -c '%a %U %G' "+configFile)
	c.run("linuxguard-bridge check --probe")
}

// start: a signed signal goes through the listener to the real rsyslog and into the file, and nothing of it is open
// to others.
func start(c *container) {
	c.run("systemctl enable --now linuxguard-bridge")
	c.run("linuxguard-bridge send --wait")
	c.expect("1", "grep -c '^first .*sig_test_' /var/log/siem.log")
	c.expect("1", "grep -c sig_test_ /var/log/linuxguard-bridge/signals.ndjson")
	c.run("linuxguard-bridge send --forge")
	for path, want := range map[string]string{
		"/var/lib/linuxguard-bridge": "700 linuxguard-bridge linuxguard-bridge", "/run/linuxguard-bridge": "750 linuxguard-bridge linuxguard-bridge",
		"/var/log/linuxguard-bridge": "750 linuxguard-bridge linuxguard-bridge",
	} {
		c.expect(want, "stat -c '%a %U %G' "+path)
	}
	// ProcSubset=pid hides net.core.somaxconn, which Go would then take for 128.
	c.expect("4096", "ss -Hltn 'sport = :8443' | awk '{print $3}'")
	c.expect("0", "awk '/Max core file size/ {print $5}' /proc/$(systemctl show --value --property=MainPID linuxguard-bridge)/limits")
}

// reload: what changed is in force, a broken file changes nothing, and the process stays the same.
func reload(c *container) {
	pid := c.property("MainPID")
	c.run(`sed -i 's/app_name = "first"/app_name = "second"/' ` + configFile)
	c.run("systemctl reload linuxguard-bridge") // returns when it is in force
	c.run("linuxguard-bridge send --wait && grep '^second .*sig_test_' /var/log/siem.log")
	c.run("cp -p " + configFile + " /root/good.toml")
	refused := func() {
		c.run("echo nonsense >>" + configFile)
		c.refuses(1, "systemctl reload linuxguard-bridge")
		if said := c.run("journalctl -u linuxguard-bridge -n 20 --no-pager"); !strings.Contains(said, "this line is no [table] and no key with a value") {
			c.t.Errorf("the journal does not say why:\n%s", said)
		}
		c.expect("active", "systemctl is-active linuxguard-bridge")
		c.run("cp -p /root/good.toml " + configFile)
	}
	refused()
	if c.systemd >= 253 { // with the type that an operator may have set
		c.write("/run/systemd/system/linuxguard-bridge.service.d/type.conf", "[Service]\nType=notify-reload")
		c.run("systemctl daemon-reload && systemctl restart linuxguard-bridge")
		refused()
		c.run("systemctl reload linuxguard-bridge")
		c.run("rm /run/systemd/system/linuxguard-bridge.service.d/type.conf && systemctl daemon-reload && systemctl restart linuxguard-bridge")
		pid = c.property("MainPID")
	}
	c.run("systemctl reload linuxguard-bridge")
	c.run("linuxguard-bridge send --wait")
	if got := c.property("MainPID"); got != pid {
		c.t.Errorf("the main process was %s and is %s: it was restarted", pid, got)
	}
}

// recovers waits for the restart after the process pid ended, and sends a signal through.
func (c *container) recovers(pid string) {
	c.t.Helper()
	c.await("the restart", func() bool {
		now := c.property("MainPID")
		return now != "0" && now != pid && c.property("ActiveState") == "active"
	})
	c.run("linuxguard-bridge send --wait")
}

// watchdog: a daemon that hangs is killed and restarted. The drop-in only shortens the time.
func watchdog(c *container) {
	c.write("/run/systemd/system/linuxguard-bridge.service.d/watchdog.conf", "[Service]\nWatchdogSec=3s")
	c.run("systemctl daemon-reload && systemctl restart linuxguard-bridge")
	pid := c.property("MainPID")
	time.Sleep(4 * time.Second) // more than the watchdog's time: it is satisfied as long as the daemon runs
	if got := c.property("MainPID"); got != pid {
		c.t.Fatal("the watchdog killed a daemon that ran well")
	}
	// The daemon's requests to itself, on which its pings depend, are no news.
	c.expect("0", "journalctl -u linuxguard-bridge | grep -c 'handshake error' || true")
	c.run("kill -STOP " + pid)
	c.recovers(pid)
	c.run("journalctl -u linuxguard-bridge | grep -i 'watchdog timeout'")
	c.run("rm /run/systemd/system/linuxguard-bridge.service.d/watchdog.conf && systemctl daemon-reload && systemctl restart linuxguard-bridge")
}

// crash: a crash of Go's runtime ends with a restart too, although its usual exit status is that of a broken
// configuration.
func crash(c *container) {
	pid := c.property("MainPID")
	c.run("kill -QUIT " + pid)
	c.recovers(pid)
}

// brokenConfiguration: a start fails once, with one clear line, and isn't tried again.
func brokenConfiguration(c *container) {
	c.run("echo nonsense >>" + configFile)
	c.refuses(1, "systemctl restart linuxguard-bridge")
	c.expect("failed", "systemctl is-active linuxguard-bridge || true")
	if status, again := c.property("ExecMainStatus"), c.property("NRestarts"); status != "2" || again != "0" {
		c.t.Errorf("ended with status %s and %s restarts, want status 2 and none", status, again)
	}
	c.run("cp -p /root/good.toml " + configFile + " && systemctl start linuxguard-bridge")
}

// secretInFile is for systemd before 247, which knows no LoadCredential=: the group reads the secret from a file.
func secretInFile(c *container) {
	c.run("install -m 640 -g linuxguard-bridge /root/secret.txt /etc/linuxguard-bridge/webhook-secret")
	c.run(`sed -i 's|"credential:webhook-secret"|"file:/etc/linuxguard-bridge/webhook-secret"|' ` + configFile)
	c.run("linuxguard-bridge check && systemctl restart linuxguard-bridge && linuxguard-bridge send --wait")
	c.run("cp -p /root/good.toml " + configFile + " && rm /etc/linuxguard-bridge/webhook-secret")
}

// lowPorts is the example for port 443 without the socket unit: the one capability, and no other.
func lowPorts(c *container) {
	c.run("mkdir -p /etc/systemd/system/linuxguard-bridge.service.d && cp /usr/share/doc/linuxguard-bridge/examples/low-ports.conf /etc/systemd/system/linuxguard-bridge.service.d/")
	c.run(`sed -i 's/^listen = .*/listen = ["0.0.0.0:443"]/' ` + configFile)
	c.run("systemctl daemon-reload && systemctl restart linuxguard-bridge && linuxguard-bridge send --wait")
	const netBindService = "0000000000000400"
	c.expect(netBindService+" "+netBindService, "awk '/CapEff|CapBnd/ {print $2}' /proc/$(systemctl show --value --property=MainPID linuxguard-bridge)/status | xargs")
	c.run("rm -r /etc/systemd/system/linuxguard-bridge.service.d && cp -p /root/good.toml " + configFile + " && systemctl daemon-reload && systemctl restart linuxguard-bridge")
}

// checkAsService: as root, check finds what only the service can't do, and what it says to type puts it right.
func checkAsService(c *container) {
	for what, says := range map[string]string{
		"chgrp root /etc/linuxguard-bridge/tls/key.pem": "chgrp linuxguard-bridge /etc/linuxguard-bridge/tls/key.pem",
		"chmod 600 " + configFile:                       "chgrp linuxguard-bridge " + configFile,
		"mv " + secretFile + " /root/moved":             "can't load it from " + secretFile,
		"printf '[output.far]\\ntype = \"file\"\\npath = \"/srv/x/signals\"\\n' >/etc/linuxguard-bridge/conf.d/far.toml":                                           "ReadWritePaths=/srv/x",
		"printf '[output.hec]\\ntype = \"splunk_hec\"\\nurls = [\"https://127.0.0.1:1\"]\\ntoken = \"credential:hec\"\\n' >/etc/linuxguard-bridge/conf.d/far.toml": "LoadCredential=hec:/etc/linuxguard-bridge/credentials/hec",
		"install -m 600 /dev/null /root/x.pem && sed -i 's|/etc/linuxguard-bridge/tls/cert.pem|/root/x.pem|' " + configFile:                                        "hides /root/x.pem from the service",
	} {
		c.run("cp -p " + configFile + " /root/before.toml && " + what)
		said := c.refuses(2, "linuxguard-bridge check --probe")
		if !strings.Contains(said, says) || !strings.Contains(said, "judged as linuxguard-bridge.service will find it") {
			c.t.Errorf("after %q check says\n%s\nwant %q", what, said, says)
		}
		c.run("cp -p /root/before.toml " + configFile + "; rm -f /etc/linuxguard-bridge/conf.d/far.toml; chgrp linuxguard-bridge /etc/linuxguard-bridge/tls/key.pem; test ! -e /root/moved || mv /root/moved " + secretFile)
	}
	said := c.run("linuxguard-bridge check")
	if !strings.Contains(said, "the certificate is self-signed") || !strings.Contains(said, "judged as linuxguard-bridge.service") {
		c.t.Errorf("check says\n%s", said)
	}
	c.expect("2750 root linuxguard-bridge", "stat -c '%a %U %G' /etc/linuxguard-bridge/conf.d")
}

// earlyHangup: a SIGHUP in the first moments of a start ends nothing for good.
func earlyHangup(c *container) {
	for _, wait := range []string{"0", "0.01", "0.03", "0.1"} {
		c.run("systemctl stop linuxguard-bridge; systemctl start --no-block linuxguard-bridge; sleep " + wait + "; systemctl kill --signal=HUP linuxguard-bridge || true")
		c.await("the start", func() bool { return c.property("ActiveState") == "active" })
	}
	c.run("linuxguard-bridge send --wait")
}

// missingCredential: systemd says nothing of which file it lacks, so the journal has it from check.
func missingCredential(c *container) {
	c.run("mv " + secretFile + " /root/moved")
	c.refuses(1, "systemctl restart linuxguard-bridge")
	c.await("the file's name", func() bool {
		_, err := c.try("journalctl -u linuxguard-bridge -n 30 --no-pager | grep -F \"can't load it from " + secretFile + "\"")
		return err == nil
	})
	c.run("mv /root/moved " + secretFile + " && systemctl reset-failed linuxguard-bridge && systemctl restart linuxguard-bridge && linuxguard-bridge send --wait")
}

// logrotate renames the file output's file, which goes on in a new one. No signal is lost over it.
func logrotate(c *container) {
	const file = "/var/log/linuxguard-bridge/signals.ndjson"
	before := c.run("grep -c sig_test_ " + file)
	c.run("logrotate --force /etc/logrotate.d/linuxguard-bridge")
	c.run("linuxguard-bridge send --wait")
	c.expect("1", "grep -c sig_test_ "+file)
	c.expect(before, "grep -c sig_test_ "+file+".1")
	c.run("logrotate --force /etc/logrotate.d/linuxguard-bridge && linuxguard-bridge send --wait")
	c.expect(before, "zcat "+file+".2.gz | grep -c sig_test_")
	c.expect("640 linuxguard-bridge linuxguard-bridge", "stat -c '%a %U %G' "+file)
}

// rotatedSecret: the running service has the secret of its start. check takes the file's, and says so.
func rotatedSecret(c *container) {
	c.run("cp -p " + secretFile + " /root/kept && openssl rand -hex 32 >" + secretFile)
	if said := c.run("linuxguard-bridge check --probe"); !strings.Contains(said, "the running service still has another one than "+secretFile+", which was used here") {
		c.t.Errorf("check does not say which secret it took:\n%s", said)
	}
	c.run("cp -p /root/kept " + secretFile)
}

// runAsRoot: somebody has run the bridge by hand, and what it made is root's. The start that fails says what to type.
func runAsRoot(c *container) {
	c.run("systemctl stop linuxguard-bridge && mkdir -p /run/linuxguard-bridge")
	c.run("CREDENTIALS_DIRECTORY=/etc/linuxguard-bridge/credentials timeout --signal=TERM 5 linuxguard-bridge run --config " + configFile + " || test $? = 124")
	c.run("find /var/lib/linuxguard-bridge -type f -exec chown root:root {} +") // as it leaves those that it makes
	c.run("rm -rf /run/linuxguard-bridge; systemctl start linuxguard-bridge || true")
	c.await("the remedy", func() bool {
		_, err := c.try("journalctl -u linuxguard-bridge -n 30 --no-pager | grep -E 'chown (-R )?linuxguard-bridge: '")
		return err == nil
	})
	c.run("systemctl stop linuxguard-bridge; chown -R linuxguard-bridge: /var/lib/linuxguard-bridge /var/log/linuxguard-bridge; systemctl reset-failed linuxguard-bridge || true")
	c.run("systemctl start linuxguard-bridge && linuxguard-bridge send --wait")
}

// unusedSocket: systemd holds a port that the bridge does not listen on. Everybody says so.
func unusedSocket(c *container) {
	c.run("systemctl stop linuxguard-bridge && systemctl start linuxguard-bridge.socket && systemctl start linuxguard-bridge")
	const says = "connections to it hang"
	for _, command := range []string{"linuxguard-bridge check", "linuxguard-bridge status", "journalctl -u linuxguard-bridge -n 30 --no-pager"} {
		if said, _ := c.try(command); !strings.Contains(said, says) {
			c.t.Errorf("%s does not say %q:\n%s", command, says, said)
		}
	}
	c.run("systemctl stop linuxguard-bridge.socket linuxguard-bridge && systemctl start linuxguard-bridge")
}

// socketActivation: systemd holds port 443, and the service takes it over.
func socketActivation(c *container) {
	c.run(`sed -i 's/^listen = .*/listen = ["systemd"]/' ` + configFile + " && systemctl stop linuxguard-bridge")
	if said := c.refuses(2, "linuxguard-bridge check"); !strings.Contains(said, "systemctl enable --now linuxguard-bridge.socket") {
		c.t.Errorf("check without the socket unit says\n%s", said)
	}
	c.run("systemctl enable --now linuxguard-bridge.socket && linuxguard-bridge check")
	report := c.load(c.t, func() { // the first connection starts it
		c.await("the service", func() bool { return c.property("ActiveState") == "active" })
	})
	c.delivered(report)
	c.run("linuxguard-bridge send --wait")
	// Another address, and another control socket, need a restart. Until then the old ones stay in use.
	c.run("cp -p " + configFile + ` /root/socket.toml && sed -i 's/^listen = .*/listen = ["0.0.0.0:8443"]/' ` + configFile + ` && printf '[admin]\nsocket = "/run/linuxguard-bridge/other.sock"\n' >>` + configFile)
	if said := c.run("systemctl reload linuxguard-bridge && journalctl -u linuxguard-bridge -n 10 --no-pager"); !strings.Contains(said, "admin.socket") {
		c.t.Errorf("the reload does not say what needs a restart:\n%s", said)
	}
	c.run("cp -p /root/socket.toml " + configFile + " && systemctl reload linuxguard-bridge && linuxguard-bridge send --wait")
}

// brokenBehindSocket: connections wait in the socket for a service that can't start. It is tried every five seconds, no
// more, and starts by itself once its configuration is good again.
func brokenBehindSocket(c *container) {
	c.run("systemctl stop linuxguard-bridge && cp -p " + configFile + " /root/socket.toml && echo nonsense >>" + configFile)
	starts := "journalctl -u linuxguard-bridge.service | grep -c 'Starting linuxguard-bridge'"
	before := c.run(starts)
	report := c.load(c.t, func() {
		c.await("a failed start", func() bool { return c.run(starts) != before })
		time.Sleep(7 * time.Second) // for two starts, or for very many
		c.run("cp -p /root/socket.toml " + configFile)
		c.await("the service", func() bool { return c.property("ActiveState") == "active" })
	})
	c.delivered(report)
	first, _ := strconv.Atoi(before)
	if last, _ := strconv.Atoi(c.run(starts)); last-first > 5 {
		c.t.Errorf("it was started %d times in about 12 seconds", last-first)
	}
}

// delivered: no connection was refused, reset or left without a 200, and every signal is in the SIEM.
func (c *container) delivered(report loadReport) {
	c.t.Helper()
	if len(report.Failures) > 0 || len(report.Signals) == 0 {
		c.t.Errorf("%d posts were answered 200, %d were not: %q", len(report.Signals), len(report.Failures), report.Failures[:min(5, len(report.Failures))])
	}
	c.arrived(report.Signals)
}

// arrived waits until each signal is in the SIEM's file.
func (c *container) arrived(signals []string) {
	c.t.Helper()
	var missing []string
	c.await("the signals in the SIEM", func() bool {
		log := c.run("cat /var/log/siem.log")
		missing = slices.DeleteFunc(slices.Clone(signals), func(id string) bool { return strings.Contains(log, `"`+id+`"`) })
		return len(missing) == 0
	})
}

// restartUnderLoad: restarts, an upgrade and a downgrade, while signals come all the time.
func restartUnderLoad(c *container) {
	pid := c.property("MainPID")
	report := c.load(c.t, func() {
		for range 3 {
			c.run("systemctl restart linuxguard-bridge")
		}
		c.run(apt("install " + deb(newVersion)))
		c.version(newVersion)
		c.run(apt("install " + deb(oldVersion)))
		c.version(oldVersion)
	})
	if got := c.property("MainPID"); got == pid {
		c.t.Error("nothing was restarted")
	}
	c.t.Logf("%s: %d posts over connections of their own during 5 restarts", c.suite, len(report.Signals))
	c.delivered(report)
	c.run("linuxguard-bridge audit")
}

// queueSurvives: what can't be delivered yet waits through an upgrade and a downgrade. The operator's configuration
// stays as it is.
func queueSurvives(c *container) {
	config := c.run("sha256sum " + configFile)
	c.run("systemctl stop rsyslog.service syslog.socket")
	c.run("linuxguard-bridge send --count 20 >/root/sent")
	c.run(apt("install "+deb(newVersion)) + " && " + apt("install "+deb(oldVersion)))
	c.expect(config, "sha256sum "+configFile)
	c.run("linuxguard-bridge status")
	c.run("systemctl start syslog.socket rsyslog.service")
	c.arrived(strings.Fields(c.run("grep -o 'sig_test_[A-Za-z0-9_-]*' /root/sent | sort -u")))
	c.run("linuxguard-bridge audit")
}

// remove stops the service for good and keeps what is the operator's: configuration, secrets, queue and user.
func remove(c *container) {
	c.run(apt("remove linuxguard-bridge"))
	c.expect("inactive", "systemctl is-active linuxguard-bridge.service || true")
	c.expect("", "ss -Hltn 'sport = :443'")
	c.run("test ! -e /usr/bin/linuxguard-bridge -a ! -e /run/linuxguard-bridge")
	c.expect("", "find /etc/systemd /usr/lib/systemd -name '*linuxguard*'")
	c.run("test -s " + configFile + " -a -s " + secretFile + " && ls /var/lib/linuxguard-bridge/* && getent passwd linuxguard-bridge")
	// Installed again, it goes on where it was.
	if said := c.run(apt("install " + deb(newVersion))); !strings.Contains(said, "is installed, not started") {
		c.t.Errorf("installed again, it does not say what is next:\n%s", said)
	}
	c.run("systemctl enable --now linuxguard-bridge.socket linuxguard-bridge.service")
	c.run("linuxguard-bridge send --wait && linuxguard-bridge audit")
	c.run(apt("remove linuxguard-bridge"))
}

// purge leaves nothing behind.
func purge(c *container, before []string) {
	c.run(apt("purge linuxguard-bridge"))
	c.refuses(2, "getent passwd linuxguard-bridge")
	c.refuses(2, "getent group linuxguard-bridge")
	if left := c.leftSince(before); len(left) > 0 {
		c.t.Errorf("left behind after purge:\n%s", strings.Join(left, "\n"))
	}
}

// files lists what is on the disk.
func (c *container) files() []string {
	c.t.Helper()
	return strings.Split(c.run("find / -xdev -path /proc -prune -o -print | sort"), "\n")
}

// leftSince lists what is there that was not, without what the test itself and the system's own programs wrote.
func (c *container) leftSince(before []string) []string {
	c.t.Helper()
	return slices.DeleteFunc(c.files(), func(path string) bool {
		if _, found := slices.BinarySearch(before, path); found {
			return true
		}
		for _, other := range []string{
			"/root/", "/etc/hosts", "/etc/rsyslog.d/siem.conf", "/var/log/siem.log", "/var/lib/logrotate/", "/run/systemd/system/linuxguard-bridge.service.d",
			"/var/cache/apt/", "/var/lib/apt/", "/var/lib/dpkg/", "/var/cache/man/", "/var/log/apt/", "/var/log/dpkg.log",
			"/var/log/journal/", "/var/lib/systemd/", "/var/tmp/systemd-private-", "/tmp/systemd-private-", "/var/log/", "/etc/passwd-",
			"/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/var/cache/debconf/", "/var/lib/rpm/", "/var/cache/dnf/", "/var/lib/dnf/", "/var/cache/ldconfig/",
		} {
			if strings.HasPrefix(path, other) && !strings.Contains(path, "/linuxguard-bridge") || path == strings.TrimSuffix(other, "/") {
				return true
			}
		}
		return false
	})
}
