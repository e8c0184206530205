// Package lines opens files of lines whose last writer may have been killed, for tests.
//
// A SIGKILL can end a write(2) between two pages (seen on Linux 6.18 with ext4), so a killed process can leave a torn
// last line. Whoever appends next has to end that line first, or its own first line continues the torn one and both
// are lost to every reader.
package lines

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Append opens the file at path for appending, and makes it when it is missing. It ends a torn last line.
func Append(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if _, _, err := endTorn(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// EndTorn ends a torn last line of the file at path and returns the offset at which that line begins. torn is false
// when the file is missing, empty or ends with a whole line. The file's writer must be dead.
func EndTorn(path string) (start int64, torn bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	start, torn, err = endTorn(f)
	return start, torn, errors.Join(err, f.Close())
}

func endTorn(f *os.File) (start int64, torn bool, err error) {
	start, torn, err = tornLine(f)
	if err == nil && torn {
		_, err = f.WriteString("\n")
	}
	if err != nil {
		return 0, false, fmt.Errorf("end the last line of %s: %w", f.Name(), err)
	}
	return start, torn, nil
}

// tornLine looks for the last line feed of f, from the end, and returns what follows it.
func tornLine(f *os.File) (start int64, torn bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, false, err
	}
	chunk := make([]byte, 64<<10)
	for end := info.Size(); end > 0; {
		n := min(int64(len(chunk)), end)
		if _, err := f.ReadAt(chunk[:n], end-n); err != nil {
			return 0, false, err
		}
		if i := bytes.LastIndexByte(chunk[:n], '\n'); i >= 0 {
			start = end - n + int64(i) + 1
			return start, start < info.Size(), nil
		}
		end -= n
	}
	return 0, info.Size() > 0, nil
}
