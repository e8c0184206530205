package guides

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
	"github.com/linuxguard/linuxguard-bridge/contrib/contribtest"
)

// blocks are a guide's fenced blocks of one language.
func blocks(t testing.TB, guide, language string) []string {
	t.Helper()
	var found []string
	for i, part := range strings.Split(contribtest.ReadFile(t, guide), "```") {
		if name, text, ok := strings.Cut(part, "\n"); ok && i%2 == 1 && name == language {
			found = append(found, text)
		}
	}
	if found == nil {
		t.Fatalf("%s has no block of %s", guide, language)
	}
	return found
}

// replaced is text with each old replaced by its new; an old that isn't there fails the test.
func replaced(t testing.TB, text string, oldNew ...string) string {
	t.Helper()
	for i := 0; i < len(oldNew); i += 2 {
		if !strings.Contains(text, oldNew[i]) {
			t.Fatalf("no %q in %s", oldNew[i], text)
		}
		text = strings.ReplaceAll(text, oldNew[i], oldNew[i+1])
	}
	return text
}

// follows fails the test unless the guide has the command, word by word.
func follows(t testing.TB, guide string, commands ...string) {
	t.Helper()
	all := strings.Join(blocks(t, guide, "sh"), "\n")
	for _, c := range commands {
		if !strings.Contains(all, "linuxguard-bridge "+c) {
			t.Errorf("%s doesn't say linuxguard-bridge %s", guide, c)
		}
	}
}

func TestFirstSignal(t *testing.T) {
	t.Parallel()
	const guide = "first-signal-in-splunk.md"
	hec := counterparts.HECReceiver(t, counterparts.HECOptions{TLS: true})
	credentials := t.TempDir()
	contribtest.WriteFile(t, filepath.Join(credentials, "splunk-token"), "11111111-2222-3333-4444-555555555555\n")
	output := replaced(t, blocks(t, guide, "toml")[0], "https://splunk.example.com:8088", hec.URL(), "/etc/linuxguard-bridge/tls/splunk-ca.pem", hec.TLS.CAFile)
	b := bridgetest.Start(t, bridgetest.Options{Outputs: output, Env: []string{"CREDENTIALS_DIRECTORY=" + credentials}})
	commands := []string{"check --probe", "send --wait", "send --forge"}
	follows(t, guide, commands...)
	for _, c := range commands {
		args := strings.Fields(c)
		if args[0] == "send" {
			args = append(args, "--ca-file", b.TLS.CAFile, "--server-name", "localhost")
		}
		if stdout, stderr, code := b.Command(nil, args...); code != 0 {
			t.Errorf("%s: exit code %d\n%s%s", c, code, stdout, stderr)
		}
	}
	e := hec.WaitEvents(1, contribtest.Arrive)[0]
	id, _ := e.Event["signal_id"].(string)
	if e.SourceType != "linuxguard:signal" || e.Event["environment"] != "test" || !strings.HasPrefix(id, "sig_test_") ||
		e.Token != "11111111-2222-3333-4444-555555555555" || e.Event["bridge_id"] == nil || e.Event["bridge_seq"] == nil {
		t.Errorf("Splunk would have got %+v", e)
	}
}

// TestRotation follows the guide while deliveries signed with either secret keep coming: none may be refused.
func TestRotation(t *testing.T) {
	t.Parallel()
	const guide = "rotate-the-webhook-secret.md"
	lines := blocks(t, guide, "toml")
	follows(t, guide, "check")
	credentials, newFile := t.TempDir(), filepath.Join(t.TempDir(), "webhook-secret-new")
	b := bridgetest.New(t, bridgetest.Options{Outputs: contribtest.FileOutput(filepath.Join(t.TempDir(), "signals.ndjson")),
		Env: []string{"CREDENTIALS_DIRECTORY=" + credentials}})
	contribtest.WriteFile(t, filepath.Join(credentials, "webhook-secret"), b.Secret)
	given := contribtest.ReadFile(t, b.ConfigPath)
	use := func(line string) {
		line = strings.ReplaceAll(line, "/etc/linuxguard-bridge/webhook-secret-new", newFile)
		contribtest.WriteFile(t, b.ConfigPath, regexp.MustCompile(`(?m)^secrets = .*$`).ReplaceAllLiteralString(given, strings.TrimSpace(line)))
	}
	use(`secrets = ["credential:webhook-secret"]`)
	b.Start()
	t.Cleanup(b.Stop)

	oldSigner, newSigner := b.Signer(), &sender.Signer{Secret: "the new endpoint's secret", Now: time.Now}
	contribtest.WriteFile(t, newFile, newSigner.Secret+"\n") // step 1
	stopOld := keepPosting(t, b, oldSigner)
	use(lines[0]) // step 2
	reload(t, b)
	stopNew := keepPosting(t, b, newSigner) // step 3
	for _, name := range []string{"webhook-secret", "webhook-secret-new"} {
		bridgetest.Eventually(t, contribtest.Arrive, name+" in the metric", func() bool { return signatures(t, b, name) > 20 })
	}
	stopOld()
	rests := signatures(t, b, "webhook-secret") // step 4
	before := signatures(t, b, "webhook-secret-new")
	bridgetest.Eventually(t, contribtest.Arrive, "more under the new secret", func() bool { return signatures(t, b, "webhook-secret-new") > before+20 })
	if now := signatures(t, b, "webhook-secret"); now != rests {
		t.Errorf("the old secret doesn't rest: %d, then %d", rests, now)
	}
	use(lines[1]) // step 5
	reload(t, b)
	before = signatures(t, b, "webhook-secret-new")
	bridgetest.Eventually(t, contribtest.Arrive, "deliveries after the rotation", func() bool { return signatures(t, b, "webhook-secret-new") > before+20 })
	stopNew()
	answer, err := b.Client(sender.ClientOptions{}).Post(t.Context(), oldSigner.Deliver(contribtest.Sample(3, "too late")))
	if err != nil || answer.Status != http.StatusUnauthorized {
		t.Errorf("the old secret after step 5: %v, %v", answer, err)
	}
}

func reload(t *testing.T, b *bridgetest.Bridge) {
	t.Helper()
	if stdout, stderr, code := b.Command(nil, "check"); code != 0 {
		t.Fatalf("check: %d\n%s%s", code, stdout, stderr)
	}
	b.Reload()
}

// keepPosting posts, one after the other, until the function that it returns is called; an answer other than 200 fails.
// The last one gets its answer, too: the daemon would go on with a request that was given up, and count it later.
func keepPosting(t *testing.T, b *bridgetest.Bridge, signer *sender.Signer) (stop func()) {
	client := b.Client(sender.ClientOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			answer, err := client.Post(t.Context(), signer.Deliver(contribtest.Sample(3, "rotation")))
			if t.Context().Err() == nil && (err != nil || !answer.OK()) {
				t.Errorf("in the middle of the rotation: %v, %v", answer, err)
				return
			}
		}
	})
	return func() { cancel(); done.Wait() }
}

func signatures(t *testing.T, b *bridgetest.Bridge, secret string) int {
	t.Helper()
	line := fmt.Sprintf(`linuxguard_bridge_webhook_signature_matches_total{endpoint="linuxguard",secret=%q} `, secret)
	_, rest, found := strings.Cut(b.Metrics(), line)
	if !found {
		return 0
	}
	digits, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

// TestQueueBytes holds the guide's bytes per signal to a real queue's.
func TestQueueBytes(t *testing.T) {
	t.Parallel()
	b := bridgetest.Start(t, bridgetest.Options{Outputs: stalled})
	client := b.Client(sender.ClientOptions{})
	const n = 50
	bodies := 0
	for range n {
		body := contribtest.Sample(3, "Sudo command executed")
		bodies += len(body)
		b.MustPost(client, body, "accepted")
	}
	q := b.Status().Queue
	perSignal := int(q.Bytes) / n
	text := contribtest.ReadFile(t, "size-the-queue.md")
	for what, measured := range map[string]int{`about\s(\d+)\sbytes\smore`: perSignal - bodies/n, `reckon\swith\s(\d+)\sbytes`: perSignal} {
		m := regexp.MustCompile(what).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("the guide doesn't say %q", what)
		}
		if said, _ := strconv.Atoi(m[1]); measured > said*5/4 || measured < said*3/5 {
			t.Errorf("the guide says %q, measured: %d (bodies of %d)", m[0], measured, bodies/n)
		}
	}
	t.Logf("%d bytes a signal, bodies of %d", perSignal, bodies/n)
}

// stalled is an output whose destination is never there.
const stalled = "[output.siem]\ntype = \"syslog\"\naddresses = [\"tcp://127.0.0.1:1\"]\n"

// TestBackup follows the guide: what was undelivered when the copy was made is delivered after it was restored.
func TestBackup(t *testing.T) {
	t.Parallel()
	text := strings.Join(blocks(t, "backup-and-upgrade.md", "sh"), "\n")
	for _, step := range []string{"systemctl stop", "cp -a /var/lib/linuxguard-bridge /var/lib/linuxguard-bridge.backup",
		"mv /var/lib/linuxguard-bridge /var/lib/linuxguard-bridge.old\ncp -a /var/lib/linuxguard-bridge.backup /var/lib/linuxguard-bridge", "systemctl start"} {
		if !strings.Contains(text, step) {
			t.Fatalf("the guide doesn't say %s", step)
		}
	}
	syslog := counterparts.Rsyslog(t, counterparts.RsyslogOptions{})
	b := bridgetest.Start(t, bridgetest.Options{Outputs: stalled})
	queue, backup := filepath.Join(b.Dir, "queue"), filepath.Join(b.Dir, "queue.backup")
	first := b.MustPost(b.Client(sender.ClientOptions{}), contribtest.Sample(3, "in the backup"), "accepted")
	b.Stop()
	copyFolder(t, backup, queue)
	b.Start()
	b.MustPost(b.Client(sender.ClientOptions{}), contribtest.Sample(3, "after the backup"), "accepted")
	b.Stop()
	if err := os.Rename(queue, queue+".old"); err != nil {
		t.Fatal(err)
	}
	copyFolder(t, queue, backup)
	b.Configure(bridgetest.Options{Outputs: replaced(t, stalled, "tcp://127.0.0.1:1", syslog.URL("relp"))})
	b.Start()
	second := b.MustPost(b.Client(sender.ClientOptions{}), contribtest.Sample(3, "after the restore"), "accepted")
	records := syslog.WaitRecords(2, contribtest.Arrive)
	for i, want := range []string{first.ID, second.ID} { // the number of the signal after the backup is given anew
		id, _ := records[i].Param("delivery_id")
		if seq, _ := records[i].Param("bridge_seq"); id != want || seq != strconv.Itoa(i+1) {
			t.Errorf("record %d: delivery_id %s (want %s), bridge_seq %s", i, id, want, seq)
		}
	}
}

func copyFolder(t *testing.T, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
