package logging

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryEventIsEmitted: each event of the contract is one that some line of the product carries, and no line carries another one.
// Whoever alerts on an event that never comes hears nothing, for ever.
func TestEveryEventIsEmitted(t *testing.T) {
	t.Parallel()
	emitted := map[string]string{}
	// "event", "NAME" in a line of attributes; a level with its event; the actions of the admin package.
	uses := regexp.MustCompile(`"event",\s*"([a-z_]+)"|event :?= "([a-z_]+)"|, "([a-z_]+)", (?:it, )?err\b|, event = [a-z.A-Z]+, "([a-z_]+)"|level, event = [^,]+, "([a-z_]+)"`)
	for _, dir := range []string{"../..", "../../cmd/linuxguard-bridge"} {
		err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "/.cache/") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range uses.FindAllStringSubmatch(string(text), -1) {
				for _, name := range m[1:] {
					if name != "" {
						emitted[name] = path
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name := range messageIDs {
		if emitted[name] == "" {
			t.Errorf("no line carries the event %s", name)
		}
	}
}
