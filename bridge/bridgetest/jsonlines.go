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
	all, torn := jsonLines(t, path)
	if len(torn) > 0 {
		t.Fatalf("%s: no JSON object: %.300q", path, torn[0])
	}
	return all
}

// JSONLinesAfterKills is JSONLines for a file whose writer was killed: a kill can leave a torn line, which the next process ends.
func JSONLinesAfterKills(t testing.TB, path string) []map[string]any {
	t.Helper()
	all, _ := jsonLines(t, path)
	return all
}

func jsonLines(t testing.TB, path string) (all []map[string]any, torn [][]byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text[:bytes.LastIndexByte(text, '\n')+1]) {
		var object map[string]any
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.UseNumber()
		if err := decoder.Decode(&object); err != nil {
			torn = append(torn, line)
			continue
		}
		all = append(all, object)
	}
	return all, torn
}
