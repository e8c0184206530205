// Package permission says why a file is out of this process's reach, and what its owner has to type to change that.
package permission

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Reason is a file error without the operation and the path, where the text around it says both.
func Reason(err error) error {
	if p := new(fs.PathError); errors.As(err, &p) {
		return p.Err
	}
	return err
}

// Use is what the process wants of a file.
type Use uint32

// The uses; to write means to make what is not there as well, a file or a folder.
const (
	Read        Use = unix.R_OK
	Write       Use = unix.W_OK
	WriteFolder Use = unix.W_OK | unix.X_OK
	Listen      Use = 1 << 8 // on a unix socket, which is made anew each time
)

// Explain adds to an error of permission on a named file whose the file is and what to do. Other errors stay as they are. A file below /etc is
// somebody's that we read; any other is ours, and became another's when somebody ran the bridge as root.
func Explain(err error) error {
	var p *fs.PathError
	if !errors.As(err, &p) || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	use := Write
	switch {
	case strings.HasPrefix(p.Path, "/etc/"):
		use = Read
	case p.Op == "mkdir":
		use = WriteFolder
	}
	remedy := Remedy(p.Path, use)
	if remedy == "" {
		return err
	}
	return &explained{err, remedy}
}

// explained is an error with a remedy behind its text.
type explained struct {
	error
	remedy string
}

func (e *explained) Error() string { return e.error.Error() + ": " + e.remedy }
func (e *explained) Unwrap() error { return e.error }

// Remedy says whose path is, or the folder on the way to it that stands in the way, and what to type so that this process can use it; "" when
// nothing of the kind stands in the way, or it can't be found out.
func Remedy(path string, use Use) string {
	if !filepath.IsAbs(path) {
		return ""
	}
	path = filepath.Clean(path)
	for i := 1; i < len(path); i++ { // the folders above it, from the top
		if path[i] == '/' && denies(path[:i], unix.X_OK) {
			return blame(path[:i], "g+x", Read)
		}
	}
	_, err := os.Stat(path)
	switch {
	case use == Listen:
		return blameFolder(path, use)
	case err == nil && denies(path, uint32(use)):
		return blame(path, map[bool]string{true: "g+r", false: "g+rwx"}[use == Read], use)
	case errors.Is(err, fs.ErrNotExist) && use != Read:
		return blameFolder(path, use)
	}
	return ""
}

// blameFolder is for a path that can't be made. Its nearest folder is only given to us when it is in one of ours: another may be the system's.
func blameFolder(path string, use Use) string {
	folder := filepath.Dir(path)
	for folder != "/" && !exists(folder) {
		folder = filepath.Dir(folder)
	}
	if !denies(folder, unix.W_OK|unix.X_OK) {
		return ""
	}
	if isOurs(folder) || isOurs(filepath.Dir(folder)) {
		return blame(folder, "g+wx", use)
	}
	us, group := Us()
	made := "install -d -o " + us + " -g " + group + " -m 700 "
	switch parent := filepath.Dir(path); {
	case use == WriteFolder:
		made += path
	case folder != parent:
		made += parent
	case use == Listen:
		made += filepath.Join(parent, "linuxguard-bridge") + ", and let the socket be in there"
	default:
		made = fmt.Sprintf("install -o %s -g %s -m 600 /dev/null %s", us, group, path)
	}
	return fmt.Sprintf("%s: as root: %s", owners(folder), made)
}

// isSystems reports whether a folder is one that many share, by its place: "/srv", "/var/lib".
func isSystems(path string) bool {
	parent := filepath.Dir(path)
	return parent == "/" || parent == "/var" || strings.HasPrefix(path, "/usr/")
}

func isOurs(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int64(owner.Uid) == int64(os.Geteuid())
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// denies reports whether the kernel refuses mode (access(2)) on an existing path to this process.
func denies(path string, mode uint32) bool {
	return errors.Is(unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS), unix.EACCES)
}

// blame names the owner of path and the remedy: what is only read stays its owner's, what is written becomes ours.
func blame(path, bits string, use Use) string {
	what := owners(path)
	us, group := Us()
	switch {
	case isOurs(path):
		return fmt.Sprintf("%s: chmod u%s %s", what, bits[1:], path)
	case use == Read:
		return fmt.Sprintf("%s: chgrp %s %s && chmod %s %s", what, group, path, bits, path)
	case isSystems(path):
		own := filepath.Join(path, "linuxguard-bridge")
		return fmt.Sprintf("%s: name a folder of the bridge's own: install -d -o %s -g %s -m 700 %s", what, us, group, own)
	}
	recursive := ""
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		recursive = "-R "
	}
	return fmt.Sprintf("%s: chown %s%s: %s", what, recursive, us, path)
}

// owners says whose path is, and who we are.
func owners(path string) string {
	us, _ := Us()
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Sprintf("%s is out of reach and this runs as %s", path, us)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Sprintf("%s belongs to somebody else and this runs as %s", path, us)
	}
	return fmt.Sprintf("%s belongs to %s:%s (mode %04o) and this runs as %s", path, userName(owner.Uid), groupName(owner.Gid), info.Mode().Perm(), us)
}

// Us names the user and the group that this process has on files.
func Us() (name, group string) {
	return userName(uint32(os.Geteuid())), groupName(uint32(os.Getegid())) //nolint:gosec // an ID of Linux has 32 bits
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return strings.TrimSpace(u.Username)
	}
	return id
}

func groupName(gid uint32) string {
	id := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(id); err == nil {
		return strings.TrimSpace(g.Name)
	}
	return id
}
