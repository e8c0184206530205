package disktest

import (
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
)

// fs is the file system of one process.
type fs struct {
	d     *Disk
	epoch int
}

// file is an open file.
type file struct {
	fs       *fs
	path     string
	node     *inode
	readOnly bool
	closed   bool
}

// Open implements journal.FS.
func (f *fs) Open(path string, flag int, _ os.FileMode) (journal.File, error) {
	d := f.d
	d.mu.Lock()
	defer d.mu.Unlock()
	node := d.find(path)
	op := Open
	if node == nil && flag&os.O_CREATE != 0 || node != nil && flag&os.O_TRUNC != 0 {
		op = Create
	}
	do, err := d.step(f.epoch, op, path)
	if !do {
		return nil, pathError(op, path, err)
	}
	if node == nil {
		var made error
		if node, made = f.create(path, flag); made != nil {
			return nil, pathError(op, path, made)
		}
	}
	if node.dir != nil {
		return nil, pathError(op, path, unix.EISDIR)
	}
	if flag&os.O_TRUNC != 0 {
		node.live = nil
	}
	if err != nil {
		return nil, pathError(op, path, err)
	}
	opened := &file{fs: f, path: filepath.Clean(path), node: node, readOnly: flag&(os.O_RDWR|os.O_WRONLY) == 0}
	d.open[opened] = true
	return opened, nil
}

func (f *fs) create(path string, flag int) (*inode, error) {
	d := f.d
	parent := d.find(filepath.Dir(path))
	if parent == nil || parent.dir == nil || flag&os.O_CREATE == 0 {
		return nil, unix.ENOENT
	}
	if _, inodes := d.used(); d.inodes > 0 && inodes >= d.inodes {
		return nil, unix.ENOSPC
	}
	d.lastID++
	node := &inode{id: d.lastID}
	parent.dir.do(change{{filepath.Base(path), node}})
	return node, nil
}

func (f *folder) do(c change) {
	c.apply(f.live)
	f.pending = append(f.pending, c)
}

func (f *folder) sync() {
	for _, c := range f.pending {
		c.apply(f.disk)
	}
	f.pending = nil
}

// inFolder does an operation on the folder that holds path.
func (f *fs) inFolder(op Op, path string, run func(parent *folder, name string) error) error {
	d := f.d
	d.mu.Lock()
	defer d.mu.Unlock()
	do, failure := d.step(f.epoch, op, path)
	if do {
		parent := d.find(filepath.Dir(path))
		if parent == nil || parent.dir == nil {
			return pathError(op, path, unix.ENOENT)
		}
		if err := run(parent.dir, filepath.Base(path)); err != nil {
			return pathError(op, path, err)
		}
		if failure == ErrIO { //nolint:errorlint // our own
			parent.dir.sync()
		}
	}
	if failure != nil {
		return pathError(op, path, failure)
	}
	return nil
}

// Rename implements journal.FS, within one folder.
func (f *fs) Rename(from, to string) error {
	return f.inFolder(Rename, to, func(parent *folder, name string) error {
		node := parent.live[filepath.Base(from)]
		if node == nil || filepath.Dir(from) != filepath.Dir(to) {
			return unix.ENOENT
		}
		parent.do(change{{filepath.Base(from), nil}, {name, node}})
		return nil
	})
}

// Remove implements journal.FS.
func (f *fs) Remove(path string) error {
	return f.inFolder(Remove, path, func(parent *folder, name string) error {
		if parent.live[name] == nil {
			return unix.ENOENT
		}
		parent.do(change{{name, nil}})
		return nil
	})
}

// Mkdir implements journal.FS.
func (f *fs) Mkdir(path string, _ os.FileMode) error {
	return f.inFolder(Mkdir, path, func(parent *folder, name string) error {
		if parent.live[name] != nil {
			return unix.EEXIST
		}
		f.d.lastID++
		parent.do(change{{name, &inode{id: f.d.lastID, dir: newFolder()}}})
		return nil
	})
}

// SyncDir implements journal.FS.
func (f *fs) SyncDir(dir string) error {
	d := f.d
	d.mu.Lock()
	defer d.mu.Unlock()
	node := d.find(dir)
	do, err := d.step(f.epoch, SyncDir, dir)
	if node == nil || node.dir == nil {
		return pathError(SyncDir, dir, unix.ENOENT)
	}
	if do && err != errOff { //nolint:errorlint // our own
		node.dir.sync()
	}
	if err != nil {
		return pathError(SyncDir, dir, err)
	}
	return nil
}

// List implements journal.FS.
func (f *fs) List(dir string) ([]string, error) {
	d := f.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.step(f.epoch, List, dir); err != nil {
		return nil, pathError(List, dir, err)
	}
	node := d.find(dir)
	if node == nil || node.dir == nil {
		return nil, pathError(List, dir, unix.ENOENT)
	}
	var names []string
	for name := range node.dir.live {
		names = append(names, name)
	}
	return names, nil
}

// Stat implements journal.FS.
func (f *fs) Stat(path string) (journal.Info, error) {
	d := f.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.step(f.epoch, Stat, path); err != nil {
		return journal.Info{}, pathError(Stat, path, err)
	}
	node := d.find(path)
	if node == nil {
		return journal.Info{}, pathError(Stat, path, unix.ENOENT)
	}
	return node.info(), nil
}

func (n *inode) info() journal.Info {
	return journal.Info{Size: int64(len(n.live)), ID: journal.FileID{Device: 1, Inode: n.id}, Dir: n.dir != nil}
}

// Lock implements journal.FS.
func (f *fs) Lock(path string) (journal.File, error) {
	opened, err := f.Open(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	d := f.d
	d.mu.Lock()
	defer d.mu.Unlock()
	l := opened.(*file)
	if l.node.locked != nil {
		l.release()
		return nil, pathError(Open, path, unix.EWOULDBLOCK)
	}
	l.node.locked = l
	return l, nil
}

// begin is step for an open file.
func (f *file) begin(op Op) (do bool, err error) {
	if f.closed && f.fs.epoch == f.fs.d.epoch {
		return false, os.ErrClosed
	}
	return f.fs.d.step(f.fs.epoch, op, f.path)
}

// ReadAt implements journal.File.
func (f *file) ReadAt(b []byte, at int64) (int, error) {
	d := f.fs.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := f.begin(Read); err != nil {
		return 0, pathError(Read, f.path, err)
	}
	if at >= int64(len(f.node.live)) {
		return 0, io.EOF
	}
	n := copy(b, f.node.live[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements journal.File.
func (f *file) WriteAt(b []byte, at int64) (int, error) {
	d := f.fs.d
	d.mu.Lock()
	defer d.mu.Unlock()
	do, err := f.begin(Write)
	n := 0
	if do {
		if f.readOnly {
			return 0, pathError(Write, f.path, unix.EBADF)
		}
		var full error
		if n, full = f.write(b, at); full != nil {
			return n, pathError(Write, f.path, full)
		}
		if err == ErrIO { //nolint:errorlint // our own
			f.node.sync()
		}
	}
	if err != nil {
		return n, pathError(Write, f.path, err)
	}
	return n, nil
}

// write puts into the page cache what there is space for.
func (f *file) write(b []byte, at int64) (n int, err error) {
	d := f.fs.d
	end := at + int64(len(b))
	if more := end - int64(len(f.node.live)); more > 0 {
		if space, _ := d.used(); d.space > 0 && space+more > d.space {
			err = unix.ENOSPC
			end = max(at, end-(space+more-d.space))
			b = b[:max(0, end-at)]
		}
		f.node.live = resize(f.node.live, max(len(f.node.live), int(end)))
	}
	copy(f.node.live[min(at, int64(len(f.node.live))):], b)
	f.node.setDirty(at, at+int64(len(b)))
	return len(b), err
}

// Sync implements journal.File.
func (f *file) Sync() error {
	d := f.fs.d
	d.mu.Lock()
	defer d.mu.Unlock()
	do, err := f.begin(Sync)
	switch {
	case err == errOff: //nolint:errorlint // our own; what survives is the power cut's to say
	case do:
		f.node.sync()
	default:
		f.node.dirty = nil // Linux says it once, and calls the pages clean
	}
	if err != nil {
		return pathError(Sync, f.path, err)
	}
	return nil
}

// Truncate implements journal.File.
func (f *file) Truncate(size int64) error {
	d := f.fs.d
	d.mu.Lock()
	defer d.mu.Unlock()
	do, err := f.begin(Truncate)
	if do {
		f.node.live = resize(f.node.live, int(size))
	}
	if err != nil {
		return pathError(Truncate, f.path, err)
	}
	return nil
}

// Stat implements journal.File.
func (f *file) Stat() (journal.Info, error) {
	d := f.fs.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := f.begin(Stat); err != nil {
		return journal.Info{}, pathError(Stat, f.path, err)
	}
	return f.node.info(), nil
}

// Close implements journal.File.
func (f *file) Close() error {
	d := f.fs.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.closed {
		if f.fs.epoch != d.epoch {
			return nil // its process is dead
		}
		return pathError(Open, f.path, os.ErrClosed)
	}
	f.release()
	return nil
}

func (f *file) release() {
	f.closed = true
	delete(f.fs.d.open, f)
	if f.node.locked == f {
		f.node.locked = nil
	}
}
