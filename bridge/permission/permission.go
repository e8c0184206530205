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
			return blame(path[:i], "+x", Read)
		}
	}
	there := Nearest(path) == path
	switch {
	case use == Listen, !there && use != Read:
		return blameFolder(path, use)
	case !there || !denies(path, uint32(use)):
		return ""
	case use == Read:
		return blame(path, "+r", use)
	default:
		return blame(path, "+rwx", use)
	}
}

// Nearest is path where it is there, else the folder above it that is, as far as this process may see.
func Nearest(path string) string {
	for path != "/" {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		path = filepath.Dir(path)
	}
	return path
}

// blameFolder is for a path that can't be made. Its nearest folder is only given to us when it is in one of ours: another may be the system's.
func blameFolder(path string, use Use) string {
	folder := Nearest(filepath.Dir(path))
	if !denies(folder, unix.W_OK|unix.X_OK) {
		return ""
	}
	if isOurs(folder) || isOurs(filepath.Dir(folder)) {
		return blame(folder, "+wx", use)
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
	return fmt.Sprintf("%s: as root: %s", whose(folder, stat(folder)), made)
}

// isShared reports whether a folder is one that many use, by its place: "/srv", "/var/lib".
func isShared(folder string) bool {
	parent := filepath.Dir(folder)
	return parent == "/" || parent == "/var" || strings.HasPrefix(folder, "/usr/")
}

func isOurs(path string) bool {
	s := stat(path)
	return s != nil && int64(s.Uid) == int64(os.Geteuid())
}

// stat is what the kernel says of a path; nil: it says nothing.
func stat(path string) *unix.Stat_t {
	s := new(unix.Stat_t)
	if unix.Stat(path, s) != nil {
		return nil
	}
	return s
}

// denies reports whether the kernel refuses mode (access(2)) on an existing path to this process.
func denies(path string, mode uint32) bool {
	return errors.Is(unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS), unix.EACCES)
}

// blame names the owner of path and the remedy, which gives us the bits: what is only read stays its owner's, what is written becomes ours.
func blame(path, bits string, use Use) string {
	s := stat(path)
	if s == nil {
		return ""
	}
	us, group := Us()
	isFolder := s.Mode&unix.S_IFMT == unix.S_IFDIR
	var remedy string
	switch {
	case isOurs(path):
		remedy = fmt.Sprintf("chmod u%s %s", bits, path)
	case use == Read:
		remedy = fmt.Sprintf("chgrp %s %s && chmod g%s %s", group, path, bits, path)
	case isFolder && isShared(path):
		remedy = fmt.Sprintf("name a folder of the bridge's own: install -d -o %s -g %s -m 700 %s", us, group, filepath.Join(path, "linuxguard-bridge"))
	case isFolder:
		remedy = fmt.Sprintf("chown -R %s: %s", us, path)
	default:
		remedy = fmt.Sprintf("chown %s: %s", us, path)
	}
	return whose(path, s) + ": " + remedy
}

// whose says whose path is, of which s is known, and who we are.
func whose(path string, s *unix.Stat_t) string {
	us, _ := Us()
	if s == nil {
		return fmt.Sprintf("%s is out of reach and this runs as %s", path, us)
	}
	return fmt.Sprintf("%s belongs to %s:%s (mode %04o) and this runs as %s", path, userName(s.Uid), groupName(s.Gid), s.Mode&0o777, us)
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
