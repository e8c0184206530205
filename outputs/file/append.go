package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/linuxguard/linuxguard-bridge/bridge/permission"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// handle is what the appender needs of an *os.File; tests put failing ones in its place.
type handle interface {
	io.Writer
	io.ReaderAt
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

// opener opens path for appending, making it and its folder when they are missing.
type opener func(path string, mode fs.FileMode) (handle, error)

// appender appends groups of lines to one path. It belongs to one goroutine.
type appender struct {
	path string
	mode fs.FileMode
	open opener
	// owner returns an error when another bridge owns the output by now. It is asked right before each change of the
	// file: the file may be shared, and what is in it by now may be the other's.
	owner func() error

	file  handle // nil: not open
	torn  bool   // the file may end in the middle of a line, which the next write ends
	lines []byte
}

// append writes the lines of group and makes them durable. When it fails, none of the lines counts as written.
func (a *appender) append(group []*job) error {
	if err := a.ready(); err != nil {
		return a.classify(err)
	}
	a.lines = a.lines[:0]
	if a.torn {
		a.lines = append(a.lines, '\n')
	}
	for _, j := range group {
		a.lines = append(a.lines, j.lines.Bytes()...)
	}
	if a.path == stdout {
		return a.classify(a.print())
	}
	return a.classify(a.store())
}

// print writes to standard output, where nothing can be taken back or synced.
func (a *appender) print() error {
	if err := a.owner(); err != nil {
		return err
	}
	n, err := a.file.Write(a.lines)
	if n > 0 {
		a.torn = a.lines[n-1] != '\n'
	}
	return err
}

// store writes and syncs; on failure it takes back what was written.
func (a *appender) store() error {
	before, err := a.file.Stat()
	if err != nil {
		a.close()
		return err
	}
	if err = a.owner(); err != nil {
		return err
	}
	if _, err = a.file.Write(a.lines); err != nil {
		if a.cut(before.Size()) != nil {
			a.torn = true
		}
		return err
	}
	if err = a.file.Sync(); err != nil {
		// The kernel reports a failed write-back once and then forgets it: only a new file handle tells the truth again.
		_ = a.cut(before.Size())
		a.close()
		return err
	}
	a.torn = false
	return nil
}

// cut takes back what a failed append has left behind size.
func (a *appender) cut(size int64) error {
	if err := a.owner(); err != nil {
		return err
	}
	return a.file.Truncate(size)
}

// ready opens the file when it isn't open, or anew when the path names another file by now.
func (a *appender) ready() error {
	if a.file != nil && a.path != stdout && a.moved() {
		a.close()
	}
	if a.file != nil {
		return nil
	}
	f, err := a.open(a.path, a.mode)
	if err != nil {
		return err
	}
	a.file = f
	a.torn = a.torn && a.path == stdout
	if a.path != stdout {
		a.torn = endsTorn(f)
	}
	return nil
}

// moved reports whether the path names another file than the open one, or none.
func (a *appender) moved() bool {
	ours, err := a.file.Stat()
	if err != nil {
		return true
	}
	there, err := os.Stat(a.path)
	return err != nil || !os.SameFile(ours, there)
}

// endsTorn reports whether f ends in the middle of a line, or can't be read: a process that was killed while it wrote has
// left it so, or somebody else. An empty line costs nothing, a record behind a torn line is lost to readers.
func endsTorn(f handle) bool {
	info, err := f.Stat()
	if err != nil {
		return true
	}
	if info.Size() == 0 {
		return false
	}
	var last [1]byte
	_, err = f.ReadAt(last[:], info.Size()-1)
	return err != nil || last[0] != '\n'
}

func (a *appender) close() {
	if a.file != nil && a.path != stdout {
		_ = a.file.Close() // everything that counts is synced
	}
	a.file = nil
}

// classify says what an error means: one that only an operator can mend, or one that may pass (no space left).
func (a *appender) classify(err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("append to %s: %w", a.path, err)
	for _, blocked := range [...]error{fs.ErrPermission, syscall.EROFS, syscall.EISDIR, syscall.ENOTDIR, syscall.ELOOP, errNotRegular} {
		if errors.Is(err, blocked) {
			return &outputs.BlockedError{Err: permission.Explain(err)}
		}
	}
	return err
}

var errNotRegular = errors.New("not a regular file")

// openFile is the opener outside of tests.
func openFile(path string, mode fs.FileMode) (handle, error) {
	if path == stdout {
		return os.Stdout, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator names the file
	if errors.Is(err, fs.ErrNotExist) {
		f, err = createFile(path, mode)
	}
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(errNotRegular, err, f.Close())
	}
	return f, nil
}

// createFile makes the file, with its mode whatever the umask is, and its folder, and makes both entries durable.
func createFile(path string, mode fs.FileMode) (*os.File, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, mode) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Chmod(mode), syncDir(dir)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the operator names the folder
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
