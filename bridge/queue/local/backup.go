package local

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
)

// Backup writes the folder of a running queue to w, as a tar archive that Restore reads. What is acknowledged before the call is in
// it. A segment goes as far as it is written to; the mark in the archive makes a restored copy take a new bridge ID, since the
// queue that it is a copy of goes on giving sequences.
func (q *engine) Backup(ctx context.Context, w io.Writer) error {
	s, held, sidecars := q.holdAll()
	defer func() {
		for _, h := range held {
			s.log.Release(h.seg)
		}
	}()
	b := &backup{fs: q.opts.FS, tar: tar.NewWriter(w)}
	b.text(backupMark, "A copy made by linuxguard-bridge queue backup. The queue takes a new bridge_id when it starts with it.\n")
	for _, h := range held {
		b.segment(ctx, h)
	}
	for _, n := range sidecars {
		b.file(s.dir, filepath.Join(logFolder, filepath.Base(sidecarPath("", n))))
	}
	names, err := q.opts.FS.List(s.letters.dir)
	if err != nil {
		return fmt.Errorf("back up the quarantine: %w", err)
	}
	for _, name := range sorted(names) {
		if _, ok := parseLetterName(name); ok {
			b.file(s.dir, filepath.Join(quarantineFolder, name))
		}
	}
	if b.err == nil {
		b.err = b.tar.Close()
	}
	return errors.Join(b.err, ctx.Err())
}

// heldSegment is a segment with its end at the time of the backup.
type heldSegment struct {
	seg  *journal.Segment
	name string
	end  int64
}

// holdAll keeps every segment's file open, and notes how far each is written to.
func (q *engine) holdAll() (s *store, held []heldSegment, sidecars []uint64) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	s = q.store
	for _, x := range s.indexes {
		if x.side != nil {
			sidecars = append(sidecars, x.meta.Number)
		}
		if seg := s.log.Hold(x.meta.Number); seg != nil {
			held = append(held, heldSegment{seg, filepath.Join(logFolder, segmentName(seg)), groupsBegin + x.meta.Bytes})
		}
	}
	return s, held, sidecars
}

// backup writes an archive. The first error is kept.
type backup struct {
	fs  journal.FS
	tar *tar.Writer
	err error
}

func (b *backup) text(name, text string) {
	if b.header(name, int64(len(text))); b.err == nil {
		_, b.err = io.WriteString(b.tar, text)
	}
}

func (b *backup) header(name string, size int64) {
	if b.err == nil {
		b.err = b.tar.WriteHeader(&tar.Header{Name: filepath.ToSlash(name), Size: size, Mode: 0o600, Typeflag: tar.TypeReg})
	}
}

func (b *backup) segment(ctx context.Context, h heldSegment) {
	b.header(h.name, h.end)
	if b.err == nil {
		_, b.err = io.Copy(b.tar, &contextReader{ctx, h.seg.Reader(h.end)})
	}
	if b.err != nil {
		b.err = fmt.Errorf("back up %s: %w", h.name, b.err)
	}
}

// file adds a file that is never changed once it is there. One that is gone by now isn't needed any more.
func (b *backup) file(dir, name string) {
	if b.err != nil {
		return
	}
	file, err := b.fs.Open(filepath.Join(dir, name), os.O_RDONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		b.err = err
		return
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil {
		b.err = err
		return
	}
	if b.header(name, info.Size); b.err == nil {
		_, b.err = io.Copy(b.tar, io.NewSectionReader(file, 0, info.Size))
	}
}

// contextReader ends with a context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// Restore unpacks an archive of Backup into a folder that doesn't exist or is empty. The folder is complete when Restore has returned
// without an error.
func Restore(r io.Reader, dir string) error {
	fs := journal.OS{}
	if err := journal.MakeDir(fs, dir, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return fmt.Errorf("%s is not empty: name a new folder", dir)
	}
	for _, sub := range []string{logFolder, quarantineFolder} {
		if err := journal.MakeDir(fs, filepath.Join(dir, sub), 0o700); err != nil {
			return err
		}
	}
	archive := tar.NewReader(r)
	for marked := false; ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) && marked {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the backup ended early or is not one: %w", err)
		}
		if err := restoreFile(fs, dir, h.Name, archive); err != nil {
			return err
		}
		marked = marked || h.Name == backupMark
	}
}

// restoreFile writes one file of an archive, durably.
func restoreFile(fs journal.FS, dir, name string, r io.Reader) error {
	if !restorable(name) {
		return fmt.Errorf("the backup holds %q, which no queue has", name)
	}
	path := filepath.Join(dir, filepath.FromSlash(name))
	file, err := fs.Open(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.NewOffsetWriter(file, 0), r)
	if err == nil && strings.HasPrefix(name, logFolder+"/") {
		err = journal.Complete(file)
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("restore %s: %w", path, err)
	}
	return fs.SyncDir(filepath.Dir(path))
}

// restorable reports whether a name is that of a file that Backup writes: nothing else is unpacked, and nowhere else.
func restorable(name string) bool {
	if name == backupMark {
		return true
	}
	if base, ok := strings.CutPrefix(name, logFolder+"/"); ok {
		_, isSidecar := sidecarNumber(base)
		return isSidecar || journal.IsSegment(base)
	}
	base, ok := strings.CutPrefix(name, quarantineFolder+"/")
	if !ok {
		return false
	}
	_, ok = parseLetterName(base)
	return ok && filepath.Base(base) == base
}

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}
