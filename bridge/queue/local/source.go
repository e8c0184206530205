package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
)

// movedMark is the file in the folder of a queue that another one has taken over. Its text says which.
const movedMark = "moved"

// ErrMoved is why Open refuses a folder that Source.Mark has marked.
var ErrMoved = errors.New("the queue in this folder was moved")

// Source is a folder's queue, opened to be moved. It implements queue.Source.
type Source struct {
	*engine
	head queue.Head
	lost []queue.Gap // what Events has not found
}

var _ queue.Source = (*Source)(nil)

// OpenSource opens a folder that no bridge uses, also one that is marked as moved already. Nothing is told to anybody but by the
// methods of queue.Source. It fails when the outputs' places are lost, which only a start of the bridge can mend.
func OpenSource(ctx context.Context, opts Options) (*Source, error) {
	if _, err := os.Stat(filepath.Join(opts.Directory, logFolder)); err != nil {
		return nil, fmt.Errorf("%s is not a queue's folder: %w", opts.Directory, err)
	}
	q, err := open(ctx, opts, true)
	if err != nil {
		return nil, err
	}
	s := &Source{engine: q}
	if err := s.readHead(); err != nil {
		return nil, errors.Join(err, q.Close(ctx))
	}
	return s, nil
}

func (s *Source) readHead() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	from := s.store.state
	if from.CursorsLost {
		return errors.New("damage has cost the places of its outputs; start the bridge on it once with its old configuration, and stop it again")
	}
	s.head = queue.Head{BridgeID: from.BridgeID, LastSeq: from.LastSeq, LastItem: from.LastItem, EvictedUpTo: from.EvictedUpTo,
		LastAccepted: from.LastAccepted, Losses: from.openLosses()}
	for _, name := range from.names() {
		o := from.Outputs[name]
		s.head.Outputs = append(s.head.Outputs, queue.OutputPlace{Name: name, DropOldest: o.DropOldest, Cursor: o.Cursor})
	}
	for _, r := range from.Resent {
		s.head.Resent = append(s.head.Resent, queue.Resent{Item: r.Item, Seq: r.Seq})
	}
	for _, g := range from.Gone {
		s.head.Gone = append(s.head.Gone, queue.Gap{First: g.First, Last: g.Last, Outcome: queue.Lost})
	}
	return nil
}

// Head implements queue.Source. What Events has not found is among the losses once it has ended.
func (s *Source) Head() queue.Head {
	h := s.head
	for _, g := range s.lost {
		h.Gone = append(h.Gone, g)
		h.Losses = append(h.Losses, queue.Loss{At: s.opts.Now(), What: "damage that was found when the queue was moved", First: g.First, Last: g.Last,
			Records: g.Last - g.First + 1})
	}
	return h
}

// Events implements queue.Source.
func (s *Source) Events(ctx context.Context, each func(*queue.Event) error) error {
	s.mu.RLock()
	from, last := s.store.oldestEvent(), s.store.state.LastSeq
	s.mu.RUnlock()
	s.lost = nil
	for at := from - 1; at < last; {
		b := queue.Batch{Through: at}
		damage, err := s.readStored(s.current(), &b, last, maxReadEvents, maxReadBytes)
		if err != nil {
			return fmt.Errorf("read events after %d: %w", at, err)
		}
		for _, d := range damage {
			for _, r := range d.lost {
				s.lost = append(s.lost, queue.Gap{First: r.First, Last: r.Last, Outcome: queue.Lost})
			}
		}
		for _, e := range b.Events {
			if err := each(e); err != nil {
				return err
			}
		}
		at = b.Through
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// Deliveries implements queue.Source.
func (s *Source) Deliveries(ctx context.Context, each func(queue.Delivery) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, x := range s.store.indexes {
		for i := x.forgotten; i < x.meta.Entries; i++ {
			b, err := x.entry(i)
			if err != nil {
				return fmt.Errorf("read the memory of deliveries: %w", err)
			}
			v, err := viewEntry(b)
			if err != nil { // a damaged one is forgotten, as at a start
				continue
			}
			if err := errors.Join(each(deliveryOf(&v)), ctx.Err()); err != nil {
				return err
			}
		}
	}
	return nil
}

func deliveryOf(v *entryView) queue.Delivery {
	return queue.Delivery{
		Seq: v.seq, Endpoint: string(v.endpoint), Digest: queue.Digest(v.digest), DeliveryID: string(v.deliveryID), SignalID: string(v.signalID),
		SentAt: v.sentAt, ReceivedAt: v.receivedAt, ReceivedBy: string(v.receivedBy),
	}
}

// NotedOutcomes implements queue.Source.
func (s *Source) NotedOutcomes(_ context.Context, output string, each func(queue.OutcomeRange) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o := s.store.state.Outputs[output]
	if o == nil {
		return nil
	}
	noted, err := s.store.notedOf(o.outcomesKey(output), 1, s.store.state.LastSeq)
	if err != nil {
		return fmt.Errorf("read the outcomes of %s: %w", output, err)
	}
	for _, r := range noted {
		if err := each(r); err != nil {
			return err
		}
	}
	return nil
}

// EachDeadLetter implements queue.Source. A damaged one is handed over as it is shown.
func (s *Source) EachDeadLetter(ctx context.Context, each func(*queue.DeadLetter) error) error {
	for after := uint64(0); ; {
		items, err := s.ListDeadLetters(ctx, after, 64, false)
		if err != nil || len(items) == 0 {
			return err
		}
		for i := range items {
			after = items[i].ID
			if err := each(&items[i]); err != nil {
				return err
			}
		}
	}
}

// Mark makes Open refuse the folder. target is where the queue is now, for people.
func (s *Source) Mark(target string) error {
	fs, path := s.opts.FS, filepath.Join(s.opts.Directory, movedMark)
	err := writeMark(fs, path, target+"\n")
	if err == nil {
		err = fs.SyncDir(s.opts.Directory)
	}
	if err != nil {
		return fmt.Errorf("mark the folder as moved: %w", err)
	}
	return nil
}

func writeMark(fs journal.FS, path, text string) error {
	file, err := fs.Open(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err = file.Truncate(0); err == nil {
		_, err = file.WriteAt([]byte(text), 0)
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// Unmark takes the mark back.
func (s *Source) Unmark() error {
	err := s.opts.FS.Remove(filepath.Join(s.opts.Directory, movedMark))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = s.opts.FS.SyncDir(s.opts.Directory)
	}
	if err != nil {
		return fmt.Errorf("take back the mark that the folder was moved: %w", err)
	}
	return nil
}

// Moved returns where the folder's queue was moved to; empty: it was not.
func (s *Source) Moved() (string, error) { return movedTo(s.opts.FS, s.opts.Directory) }

func movedTo(fs journal.FS, dir string) (string, error) {
	file, err := fs.Open(filepath.Join(dir, movedMark), os.O_RDONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the mark of a moved queue: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	text, err := io.ReadAll(io.NewSectionReader(file, 0, 4096))
	if err != nil {
		return "", fmt.Errorf("read the mark of a moved queue: %w", err)
	}
	if to := strings.TrimSpace(string(text)); to != "" {
		return to, nil
	}
	return "somewhere else", nil
}

// refuseMoved returns ErrMoved for a marked folder, unless it is opened to be moved.
func refuseMoved(opts *Options, dir string) error {
	if opts.takeMoved {
		return nil
	}
	to, err := movedTo(opts.FS, dir)
	if err != nil || to == "" {
		return err
	}
	return fmt.Errorf("%w to %s, which continues its numbers: use that one (queue.kind = \"postgres\"); to go back to what was here then, "+
		"delete %s, and what the other has received since is missing", ErrMoved, to, filepath.Join(dir, movedMark))
}
