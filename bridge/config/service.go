package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/linuxguard/linuxguard-bridge/bridge/permission"
)

// Service is the service manager's word on what the service may reach. Whoever asks runs as the service's user by then.
type Service interface {
	// CanRead and CanWrite return an error that says what to do when the service's sandbox hides path or protects it.
	CanRead(path string) error
	CanWrite(path string) error
	// MakesDirectory reports whether the manager makes the folder of path for the service.
	MakesDirectory(path string) bool
}

// canRead reports a path that the service's sandbox hides; whether its mode lets the user in shows itself when it is read.
func (l *loader) canRead(at keyPath, path string) bool {
	if l.opts.Service == nil {
		return true
	}
	err := l.opts.Service.CanRead(filepath.Clean(path))
	if err != nil {
		l.errorf(at, "", "%s", err)
	}
	return err == nil
}

// canWrite reports a file or folder that the service could not write or make.
func (l *loader) canWrite(at keyPath, path string) {
	if l.opts.Service == nil || !filepath.IsAbs(path) {
		return
	}
	path = filepath.Clean(path)
	if err := l.opts.Service.CanWrite(path); err != nil {
		l.errorf(at, "", "%s", err)
		return
	}
	there := path
	for there != "/" && !exists(there) {
		there = filepath.Dir(there)
	}
	if there != path && l.opts.Service.MakesDirectory(path) && !l.opts.Service.MakesDirectory(there) {
		return // the manager makes what is missing
	}
	if remedy := permission.Remedy(there, permission.Write); remedy != "" {
		l.errorf(at, "", "can't write %q: %s", path, remedy)
	}
}

// exists reports whether path is there, as far as this process may see.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
