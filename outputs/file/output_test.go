package file_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/file"
	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
)

// sequences reads back the bridge_seq of every line.
func sequences(t testing.TB, path string) []uint64 {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var seqs []uint64
	for line := range bytes.Lines(data) {
		var rec struct {
			Seq uint64 `json:"bridge_seq"`
		}
		if err := json.Unmarshal(line, &rec); err != nil || rec.Seq == 0 {
			t.Errorf("line %q: %v", line, err)
		}
		seqs = append(seqs, rec.Seq)
	}
	return seqs
}

func TestConformance(t *testing.T) {
	t.Parallel()
	outputtest.Run(t, func(t *testing.T) outputtest.Harness {
		dir := filepath.Join(t.TempDir(), "made", "by the output")
		path := filepath.Join(dir, "signals.ndjson")
		aside := dir + ".aside"
		env, log := outputtest.Env(t, nil)
		return outputtest.Harness{
			New: func(t *testing.T, valid func() bool) outputs.Output {
				env := env
				env.Valid = valid
				out, _, err := outputtest.Build(file.Kind(), env, fmt.Sprintf("path = %q", path))
				if err != nil {
					t.Fatal(err)
				}
				return out
			},
			Received: func() []uint64 {
				if seqs := sequences(t, filepath.Join(aside, "signals.ndjson")); seqs != nil {
					return seqs
				}
				return sequences(t, path)
			},
			// A file stands where the folder was.
			Break: func() {
				if err := os.Rename(dir, aside); err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
				if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(dir, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			},
			Mend: func() {
				if err := os.Remove(dir); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(aside, dir); err != nil {
					t.Fatal(err)
				}
			},
			Logs: log.String,
		}
	})
}
