package permission

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// ReadRegular reads a regular file of at most limit bytes that check accepts (nil: any). What is checked is the open
// file, not its name, which could be given to another file in between; opening does not wait for a pipe's other end.
func ReadRegular(path string, limit int64, check func(fs.FileInfo) error) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) //nolint:gosec // the operator names the file in the configuration
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	if check != nil {
		if err := check(info); err != nil {
			return nil, err
		}
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("it is longer than %d KiB", limit>>10)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}
