package queue

import (
	"errors"
	"os"
	"path/filepath"
)

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// replaceFile makes temporary, whose content is synced, take path's place durably.
func replaceFile(temporary, path string) error {
	f, err := os.Open(temporary) //nolint:gosec // the queue's own file
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// makeFolder makes dir when it is missing, durably: a queue in a folder that a power cut takes away would be no queue.
func makeFolder(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(dir))
}

// syncFolder makes a rename in dir durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir) //nolint:gosec // the queue's own folder
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
