package disktest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
)

const sector = 512

// Op is a kind of operation.
type Op int

// The operations. Those from Create on change something.
const (
	Read Op = iota
	Open
	Stat
	List
	Create
	Write
	Sync
	Truncate
	Rename
	Remove
	Mkdir
	SyncDir
)

// String returns the operation's name.
func (o Op) String() string {
	return [...]string{"read", "open", "stat", "list", "create", "write", "sync", "truncate", "rename", "remove", "mkdir", "syncdir"}[o]
}

// How says what becomes of an operation that fails.
type How int

// The ways to fail.
const (
	Lost      How = iota // nothing of it happens
	Persisted            // it happens, and is durable, all the same
)

// Errors of a disk.
var (
	ErrIO  = fmt.Errorf("the disk fails: %w", unix.EIO)
	errOff = errors.New("the process is dead")
)

// Disk is the disk. Its FS is the view of one process.
type Disk struct {
	mu     sync.Mutex
	rnd    *rand.Rand
	root   *inode
	lastID uint64
	epoch  int // of the process that may use it
	off    bool
	died   chan struct{} // closed when off

	failAt, cutAt int // operations from now; 0: none
	failHow       How
	failOps       func(Op, string) bool
	failed        string // what has failed
	unreadable    func(path string) bool

	space, inodes int64 // limits; 0: none
	open          map[*file]bool
}

type inode struct {
	id  uint64
	dir *folder // nil: a file

	live, disk []byte   // the page cache, and what is durable
	dirty      []uint64 // a bit a sector: not synced yet
	locked     *file
}

type folder struct {
	live, disk map[string]*inode
	pending    []change
}

// change is one operation on a folder, of one or two names; a nil inode: the name goes.
type change []entry

type entry struct {
	name string
	node *inode
}

// New returns an empty disk.
func New(seed uint64) *Disk {
	return &Disk{rnd: rand.New(rand.NewPCG(seed, 1)), root: &inode{dir: newFolder()}, epoch: 1, open: map[*file]bool{}, died: make(chan struct{})}
}

func newFolder() *folder { return &folder{live: map[string]*inode{}, disk: map[string]*inode{}} }

// FS returns the file system as the process sees it that begins now. Kill and PowerCut end it.
func (d *Disk) FS() journal.FS {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		d.off, d.died = false, make(chan struct{})
	}
	return &fs{d, d.epoch}
}

// Kill ends the process. The page cache stays.
func (d *Disk) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kill()
}

func (d *Disk) kill() {
	d.epoch++
	d.failAt, d.cutAt = 0, 0
	for f := range d.open {
		f.release()
	}
}

// PowerCut ends the process and keeps any subset of what is not synced.
func (d *Disk) PowerCut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kill()
	shares := [...]float64{0, 0.1, 0.5, 0.9, 1}
	d.root.survive(d.rnd, shares[d.rnd.IntN(len(shares))])
}

func (n *inode) survive(rnd *rand.Rand, share float64) {
	if n.dir == nil {
		n.surviveFile(rnd, share)
		return
	}
	for _, c := range n.dir.pending {
		if rnd.Float64() < share {
			c.apply(n.dir.disk)
		}
	}
	n.dir.pending = nil
	n.dir.live = map[string]*inode{}
	for name, child := range n.dir.disk {
		n.dir.live[name] = child
		child.survive(rnd, share)
	}
}

func (n *inode) surviveFile(rnd *rand.Rand, share float64) {
	if size := len(n.live); size != len(n.disk) && rnd.Float64() < share {
		n.disk = resize(n.disk, size)
	}
	for i := range int64(len(n.live)+sector-1) / sector {
		if n.isDirty(i) && rnd.Float64() < share {
			n.flush(i)
		}
	}
	n.live = slices.Clone(n.disk)
	n.dirty = nil
}

func (n *inode) isDirty(i int64) bool {
	return int(i/64) < len(n.dirty) && n.dirty[i/64]&(1<<(i%64)) != 0
}

func (n *inode) setDirty(from, to int64) {
	for i := from / sector; i*sector < to; i++ {
		for int(i/64) >= len(n.dirty) {
			n.dirty = append(n.dirty, 0)
		}
		n.dirty[i/64] |= 1 << (i % 64)
	}
}

// flush makes one sector durable, as far as the durable file reaches.
func (n *inode) flush(i int64) {
	from := i * sector
	to := min(from+sector, int64(len(n.live)), int64(len(n.disk)))
	if from < to {
		copy(n.disk[from:to], n.live[from:to])
	}
}

func resize(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size]
	}
	return append(b, make([]byte, size-len(b))...)
}

func (n *inode) sync() {
	n.disk = resize(n.disk, len(n.live))
	for w, bits := range n.dirty {
		for bit := range 64 {
			if bits&(1<<bit) != 0 {
				n.flush(int64(w*64 + bit))
			}
		}
	}
	n.dirty = nil
}

func (c change) apply(names map[string]*inode) {
	for _, e := range c {
		if e.node == nil {
			delete(names, e.name)
		} else {
			names[e.name] = e.node
		}
	}
}

// FailAt makes the nth operation from now that match accepts (nil: each) fail once.
func (d *Disk) FailAt(n int, how How, match func(Op, string) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failAt, d.failHow, d.failOps, d.failed = n, how, match, ""
}

// Failed says what FailAt has made fail; "" nothing yet.
func (d *Disk) Failed() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

// CutAt makes the process die in its nth operation from now that changes something: PowerCut or Kill is to follow.
func (d *Disk) CutAt(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cutAt = n
}

// IsOff reports whether the process has died by CutAt.
func (d *Disk) IsOff() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.off
}

// Died is closed when the process has died by CutAt.
func (d *Disk) Died() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.died
}

// FailReads makes all reads of the files that match accepts fail; nil: of none.
func (d *Disk) FailReads(match func(path string) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unreadable = match
}

// Limit sets how many bytes and files the disk takes; 0: any number.
func (d *Disk) Limit(space, inodes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.space, d.inodes = space, inodes
}

// Used returns the bytes and the number of all files.
func (d *Disk) Used() (space, inodes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used()
}

func (d *Disk) used() (space, inodes int64) {
	d.walk(d.root, "", func(_ string, n *inode) {
		if n.dir == nil {
			space += int64(len(n.live))
			inodes++
		}
	})
	return space, inodes
}

func (d *Disk) walk(n *inode, path string, visit func(string, *inode)) {
	visit(path, n)
	if n.dir != nil {
		for name, child := range n.dir.live {
			d.walk(child, path+"/"+name, visit)
		}
	}
}

// Files returns the paths of all files below a folder, in order.
func (d *Disk) Files(dir string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []string
	if n := d.find(dir); n != nil {
		d.walk(n, filepath.Clean(dir), func(path string, n *inode) {
			if n.dir == nil {
				all = append(all, path)
			}
		})
	}
	slices.Sort(all)
	return all
}

// OpenFiles returns the paths of the files that the process has open.
func (d *Disk) OpenFiles() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []string
	for f := range d.open {
		all = append(all, f.path)
	}
	slices.Sort(all)
	return all
}

// Damage changes a file's bytes, durably: edit returns the new ones.
func (d *Disk) Damage(path string, edit func([]byte) []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.find(path)
	n.live = edit(slices.Clone(n.live))
	n.disk, n.dirty = slices.Clone(n.live), nil
}

// Content returns a copy of a file's bytes, nil when there is none.
func (d *Disk) Content(path string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.find(path); n != nil {
		return slices.Clone(n.live)
	}
	return nil
}

// Put writes a whole file, durably, with the folders above it.
func (d *Disk) Put(path string, content []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.put(path, &inode{live: slices.Clone(content), disk: slices.Clone(content)})
}

func (d *Disk) put(path string, node *inode) {
	at := d.root
	names := split(path)
	for _, name := range names[:len(names)-1] {
		next := at.dir.live[name]
		if next == nil {
			d.lastID++
			next = &inode{id: d.lastID, dir: newFolder()}
			change{{name, next}}.apply(at.dir.live)
			change{{name, next}}.apply(at.dir.disk)
		}
		at = next
	}
	d.renumber(node)
	c := change{{names[len(names)-1], node}}
	c.apply(at.dir.live)
	c.apply(at.dir.disk)
}

func (d *Disk) renumber(n *inode) {
	d.lastID++
	n.id = d.lastID
	if n.dir != nil {
		for _, child := range n.dir.live {
			d.renumber(child)
		}
	}
}

// Delete takes a file or a folder away, durably and with all that is in it. What is open stays readable.
func (d *Disk) Delete(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	parent, name := d.find(filepath.Dir(path)), filepath.Base(path)
	delete(parent.dir.live, name)
	delete(parent.dir.disk, name)
	parent.dir.pending = slices.DeleteFunc(parent.dir.pending, func(c change) bool {
		return slices.ContainsFunc(c, func(e entry) bool { return e.name == name })
	})
}

// Tree is a copy of a folder.
type Tree struct{ root *inode }

// Copy copies a folder as the process sees it.
func (d *Disk) Copy(dir string) *Tree {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &Tree{clone(d.find(dir))}
}

func clone(n *inode) *inode {
	c := &inode{live: slices.Clone(n.live), disk: slices.Clone(n.live)}
	if n.dir != nil {
		c.dir = newFolder()
		for name, child := range n.dir.live {
			copied := clone(child)
			c.dir.live[name], c.dir.disk[name] = copied, copied
		}
	}
	return c
}

// Paste puts a copy of a tree at a path, as other files than those that were copied.
func (d *Disk) Paste(dir string, t *Tree) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.put(dir, clone(t.root))
}

// Clone returns an independent copy of the disk, with nothing unsynced.
func (d *Disk) Clone(seed uint64) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := New(seed)
	c.root = clone(d.root)
	c.renumber(c.root)
	return c
}

func split(path string) []string {
	path = strings.Trim(filepath.Clean(path), "/")
	if path == "" || path == "." {
		return nil
	}
	return strings.Split(path, "/")
}

// find returns what is at a path; nil: nothing.
func (d *Disk) find(path string) *inode {
	at := d.root
	for _, name := range split(path) {
		if at.dir == nil || at.dir.live[name] == nil {
			return nil
		}
		at = at.dir.live[name]
	}
	return at
}

// step is asked before each operation: whether it is to be done, and which error it ends with.
func (d *Disk) step(epoch int, op Op, path string) (do bool, err error) {
	if epoch != d.epoch || d.off {
		return false, errOff
	}
	if d.unreadable != nil && (op == Read || op == Open) && d.unreadable(path) {
		return false, &os.PathError{Op: op.String(), Path: path, Err: unix.EIO}
	}
	if d.cutAt > 0 && op >= Create {
		if d.cutAt--; d.cutAt == 0 {
			d.off = true
			close(d.died)
			return d.rnd.IntN(2) == 0, errOff
		}
	}
	if d.failAt > 0 && (d.failOps == nil || d.failOps(op, path)) {
		if d.failAt--; d.failAt == 0 {
			d.failed = op.String() + " " + path
			return d.failHow == Persisted, ErrIO
		}
	}
	return true, nil
}

func pathError(op Op, path string, err error) error {
	return &os.PathError{Op: op.String(), Path: path, Err: err}
}
