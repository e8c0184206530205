package guides

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

// TestOCSFLake follows the guide on the built program: its outputs stand in conf.d, render shows the finding that the file then has.
func TestOCSFLake(t *testing.T) {
	t.Parallel()
	const guide = "signals-for-an-ocsf-lake.md"
	outputs := blocks(t, guide, "toml")
	follows(t, guide, "render --output lake", "check", "send --wait")
	dir := t.TempDir()
	file := filepath.Join(dir, "findings.ndjson")
	b := bridgetest.New(t, bridgetest.Options{})
	parts := filepath.Join(filepath.Dir(b.ConfigPath), "conf.d")
	if err := os.Mkdir(parts, 0o700); err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{
		replaced(t, outputs[0], "/var/log/linuxguard-bridge/findings.ndjson", file), replaced(t, outputs[1], "tls://collector.example.com:6514", "tcp://127.0.0.1:9"),
	} {
		if err := os.WriteFile(filepath.Join(parts, string(rune('1'+i))+".toml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.Start()
	t.Cleanup(b.Stop)
	body := sender.Sample(4, time.Now(), nil).JSON()
	rendered, said, code := b.Command(body, "render", "--output", "lake", "-")
	if code != 0 {
		t.Fatalf("render answers %d: %s", code, said)
	}
	sent := b.MustPost(b.Client(sender.ClientOptions{}), body, "accepted")
	var line []byte
	bridgetest.Eventually(t, time.Minute, "the finding", func() bool {
		line, _ = os.ReadFile(file)
		return strings.HasSuffix(string(line), "\n")
	})
	type finding struct {
		ClassUID   int `json:"class_uid"`
		SeverityID int `json:"severity_id"`
		Metadata   struct {
			UID      string
			Sequence int
		}
		FindingInfo struct{ UID, Title string } `json:"finding_info"`
	}
	var stored, shown finding
	if err := json.Unmarshal(line, &stored); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(rendered), &shown); err != nil {
		t.Fatalf("%v: %s", err, rendered)
	}
	if stored.ClassUID != 2004 || stored.SeverityID != 4 || stored.Metadata.UID != sent.ID || stored.Metadata.Sequence != 1 || stored.FindingInfo != shown.FindingInfo {
		t.Errorf("stored %+v, rendered %+v, sent %s", stored, shown, sent.ID)
	}
}
