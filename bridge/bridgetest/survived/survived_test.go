package survived_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/survived"
)

func TestNote(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.md")
	t.Setenv(survived.Variable, path)
	survived.Note(t, survived.Row{What: "kills", Times: 3, Acknowledged: 400, Remark: "2 repeated"})
	survived.Note(t, survived.Row{What: "outages", Times: 1, Acknowledged: 5, Lost: 1})
	want := "| kills | 3 | 400 | 0 | 2 repeated | `TestNote` |\n| outages | 1 | 5 | 1 |  | `TestNote` |\n"
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
}
