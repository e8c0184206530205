package config

import (
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

// canWrite reports what the daemon could not write, make or listen on. Where no service manager has it in hand that is a warning: it may be
// meant for another machine.
func (l *loader) canWrite(at keyPath, path string, use permission.Use) {
	service := l.opts.Service
	if service == nil && !l.opts.Unmanaged || !filepath.IsAbs(path) {
		return
	}
	path = filepath.Clean(path)
	tell := l.warnf
	if service != nil {
		tell = l.errorf
		if err := service.CanWrite(path); err != nil {
			l.errorf(at, "", "%s", err)
			return
		}
		there := permission.Nearest(path)
		if there != path && service.MakesDirectory(path) && !service.MakesDirectory(there) {
			return // the manager makes what is missing
		}
	}
	if remedy := permission.Remedy(path, use); remedy != "" {
		tell(at, "", "can't write %q: %s", path, remedy)
	}
}
