package file

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/linuxguard/linuxguard-bridge/bridge/permission"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// Probe implements outputs.Prober: it looks whether the file, or the folder that it will be made in, can be written to. It
// writes nothing.
func (o *output) Probe(context.Context) ([]outputs.Finding, error) {
	path := string(o.settings.Path)
	if path == stdout {
		return []outputs.Finding{{Target: "standard output", OK: true, Text: "nothing to try"}}, nil
	}
	if err := probe(path); err != nil {
		return []outputs.Finding{{Target: path, Text: permission.Explain(err).Error()}}, nil
	}
	return []outputs.Finding{{Target: path, OK: true, Text: "can be written to"}}, nil
}

func probe(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|unix.O_NONBLOCK, 0) //nolint:gosec // the operator names the file
	if err == nil {
		info, err := f.Stat()
		if err == nil && !info.Mode().IsRegular() {
			err = errNotRegular
		}
		return errors.Join(err, f.Close())
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dir := filepath.Dir(path)
	for {
		info, err := os.Stat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			dir = filepath.Dir(dir)
		case err != nil:
			return err
		case !info.IsDir():
			return &fs.PathError{Op: "mkdir", Path: dir, Err: unix.ENOTDIR}
		default:
			if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
				return &fs.PathError{Op: "write to", Path: dir, Err: err}
			}
			return nil
		}
	}
}
