package journal

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// FS is the part of a file system that a queue uses. Tests put a failing one in its place.
type FS interface {
	// Open opens a file as os.OpenFile does.
	Open(name string, flag int, perm os.FileMode) (File, error)
	Rename(from, to string) error
	Remove(name string) error
	// List returns the names in a folder, in any order.
	List(dir string) ([]string, error)
	// Stat says what is at a path now.
	Stat(name string) (Info, error)
	// Mkdir makes one folder; that it exists already is an error.
	Mkdir(name string, perm os.FileMode) error
	// SyncDir makes the names in a folder durable.
	SyncDir(dir string) error
	// Lock opens a file, makes it where it is missing, and locks it for this process until it is closed. An error that is
	// EWOULDBLOCK: another process has it.
	Lock(name string) (File, error)
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes what was written durable, and no more of the file's metadata than it takes to read that.
	Sync() error
	Truncate(size int64) error
	Stat() (Info, error)
}

// Info describes a file.
type Info struct {
	Size int64
	ID   FileID
	Dir  bool
}

// FileID tells two files apart, whatever their names.
type FileID struct{ Device, Inode uint64 }

// OS is the real file system.
type OS struct{}

type osFile struct{ *os.File }

// Open implements FS.
func (OS) Open(name string, flag int, perm os.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm) //nolint:gosec // the queue's own folder
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Sync implements File.
func (f osFile) Sync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

// Stat implements File.
func (f osFile) Stat() (Info, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return Info{}, &os.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	return infoOf(&st), nil
}

// Rename implements FS.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements FS.
func (OS) Remove(name string) error { return os.Remove(name) }

// List implements FS.
func (OS) List(dir string) ([]string, error) {
	f, err := os.Open(dir) //nolint:gosec // the queue's own folder
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	return names, errors.Join(err, f.Close())
}

// Stat implements FS.
func (OS) Stat(name string) (Info, error) {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return Info{}, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	return infoOf(&st), nil
}

func infoOf(st *unix.Stat_t) Info {
	return Info{Size: st.Size, ID: FileID{Device: uint64(st.Dev), Inode: st.Ino}, Dir: st.Mode&unix.S_IFMT == unix.S_IFDIR} //nolint:unconvert // Dev's type differs between architectures
}

// Mkdir implements FS.
func (OS) Mkdir(name string, perm os.FileMode) error { return os.Mkdir(name, perm) }

// SyncDir implements FS.
func (OS) SyncDir(dir string) error {
	f, err := os.Open(dir) //nolint:gosec // the queue's own folder
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// lockedFile is a file that this process has locked.
type lockedFile struct{ osFile }

// Lock implements FS.
func (OS) Lock(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the queue's own folder
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(&os.PathError{Op: "flock", Path: name, Err: err}, f.Close())
	}
	return lockedFile{osFile{f}}, nil
}

// Close implements File. Closing alone would not do while a process that is being started still has a copy of the descriptor.
func (f lockedFile) Close() error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.File.Close())
}

// MakeDir makes a folder and those above it, each synced into the one that holds it: a queue in a folder that a power cut
// takes away would be no queue. One that exists is synced too, since whoever made it may have failed to.
func MakeDir(fs FS, dir string, perm os.FileMode) error {
	dir = filepath.Clean(dir)
	parent := filepath.Dir(dir)
	if info, err := fs.Stat(dir); err == nil {
		if !info.Dir {
			return &os.PathError{Op: "mkdir", Path: dir, Err: unix.ENOTDIR}
		}
		if err := fs.SyncDir(parent); !errors.Is(err, os.ErrPermission) { // a parent that is not ours was made by somebody else
			return err
		}
		return nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if parent == dir {
		return &os.PathError{Op: "mkdir", Path: dir, Err: os.ErrNotExist}
	}
	if err := MakeDir(fs, parent, perm); err != nil {
		return err
	}
	if err := fs.Mkdir(dir, perm); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return fs.SyncDir(parent)
}
