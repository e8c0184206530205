package bridgetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"testing"
)

// JSONLines returns the complete lines of a file of JSON objects, none when it isn't there yet. Numbers stay as they were
// written.
func JSONLines(t testing.TB, path string) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for line := range bytes.Lines(text[:bytes.LastIndexByte(text, '\n')+1]) {
		var object map[string]any
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.UseNumber()
		if err := decoder.Decode(&object); err != nil {
			t.Fatalf("%s: %v: %.300q", path, err, line)
		}
		all = append(all, object)
	}
	return all
}
