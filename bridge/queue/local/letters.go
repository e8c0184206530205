package local

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
)

// letters are the dead letters: an index in memory, and the folder with a readable file for each. The log's record is the truth; a
// goroutine of the queue's, the filer, writes and deletes the files behind it, in the log's order.
type letters struct {
	fs  journal.FS
	dir string

	mu       sync.Mutex
	byID     map[uint64]*letter
	byDigest map[digestPrefix][]*letter // those that were quarantined on receipt
	byOutput map[outputSeq]*letter      // those that an output refused
	bytes    map[string]int64           // by output; "" is the receiver's
	refusal  map[string]int64           // by output: what the last one that found no room would have taken
	tasks    []filing
	wake     chan struct{}
}

// letter is one dead letter.
type letter struct {
	id     uint64
	output string
	seq    uint64
	size   int64
	digest digestPrefix
	place  recordPlace // in the log; Segment 0: only its file is known
	filed  bool
}

// recordPlace is where a record stands in the log.
type recordPlace struct {
	Segment uint64
	Offset  int64 // of its group
	Index   int   // in the group
}

type digestPrefix [16]byte

type outputSeq struct {
	output string
	seq    uint64
}

// filing is one thing that the filer has to do.
type filing struct {
	record uint64 // the number of the record that says so
	id     uint64
	unlink string // the name of a file to delete; empty: write the letter's
}

// minLetter is the least that a dead letter counts, whatever its size: a file takes a block.
const minLetter = 4 << 10

func newLetters(fs journal.FS, dir string) *letters {
	return &letters{
		fs: fs, dir: dir, byID: map[uint64]*letter{}, byDigest: map[digestPrefix][]*letter{}, byOutput: map[outputSeq]*letter{},
		bytes: map[string]int64{}, refusal: map[string]int64{}, wake: make(chan struct{}, 1),
	}
}

// letterName is the name of a letter's file.
func (l *letter) letterName() string {
	name := fmt.Sprintf("%012d-%s", l.id, hex.EncodeToString(l.digest[:]))
	if l.output != "" {
		name += fmt.Sprintf("-%d-%s", l.seq, l.output)
	}
	return name + ".json"
}

// parseLetterName is the inverse of letterName.
func parseLetterName(name string) (*letter, bool) {
	base, ok := strings.CutSuffix(name, ".json")
	parts := strings.SplitN(base, "-", 4)
	if !ok || (len(parts) != 2 && len(parts) != 4) {
		return nil, false
	}
	id, err := strconv.ParseUint(parts[0], 10, 64)
	digest, derr := hex.DecodeString(parts[1])
	if err != nil || derr != nil || id == 0 || len(digest) != len(digestPrefix{}) {
		return nil, false
	}
	l := &letter{id: id, digest: digestPrefix(digest), filed: true}
	if len(parts) == 4 {
		if l.seq, err = strconv.ParseUint(parts[2], 10, 64); err != nil || parts[3] == "" {
			return nil, false
		}
		l.output = parts[3]
	}
	return l, l.letterName() == name
}

// load reads the folder's names and sizes. Temporary files are deleted; others that are none of the queue's stay.
func (q *letters) load() error {
	if err := journal.MakeDir(q.fs, q.dir, 0o700); err != nil {
		return fmt.Errorf("make the quarantine's folder: %w", err)
	}
	names, err := q.fs.List(q.dir)
	if err != nil {
		return fmt.Errorf("read the quarantine's folder: %w", err)
	}
	for _, name := range names {
		path := filepath.Join(q.dir, name)
		if strings.HasSuffix(name, temporarySuffix) {
			if err := q.fs.Remove(path); err != nil {
				return fmt.Errorf("delete a temporary file: %w", err)
			}
			continue
		}
		l, ok := parseLetterName(name)
		if !ok {
			continue
		}
		info, err := q.fs.Stat(path)
		if err != nil {
			return fmt.Errorf("read the quarantine's folder: %w", err)
		}
		l.size = max(info.Size, minLetter)
		q.insert(l)
	}
	return nil
}

// insert adds a letter, or puts it in place of the one with the same ID.
func (q *letters) insert(l *letter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if old := q.byID[l.id]; old != nil {
		l.filed = old.filed
		q.removeLocked(old)
	}
	q.byID[l.id] = l
	q.bytes[l.output] += l.size
	if l.output == "" {
		q.byDigest[l.digest] = append(q.byDigest[l.digest], l)
	} else {
		q.byOutput[outputSeq{l.output, l.seq}] = l
	}
}

func (q *letters) removeLocked(l *letter) {
	delete(q.byID, l.id)
	if q.bytes[l.output] -= l.size; q.bytes[l.output] <= 0 {
		delete(q.bytes, l.output)
	}
	if l.output != "" {
		delete(q.byOutput, outputSeq{l.output, l.seq})
		return
	}
	rest := slices.DeleteFunc(q.byDigest[l.digest], func(o *letter) bool { return o == l })
	if q.byDigest[l.digest] = rest; len(rest) == 0 {
		delete(q.byDigest, l.digest)
	}
}

// apply takes over a dead letter's record.
func (q *letters) apply(item *queue.DeadLetter, digest queue.Digest, size int64, number uint64, place recordPlace) {
	l := &letter{
		id: item.ID, output: item.Output, seq: item.Event.Seq, size: max(size, minLetter),
		digest: digestPrefix(digest[:16]), place: place,
	}
	q.insert(l)
	q.addTask(filing{record: number, id: l.id})
}

// remove takes over that a letter was dropped or re-sent.
func (q *letters) remove(id, number uint64) {
	q.mu.Lock()
	l := q.byID[id]
	if l != nil {
		q.removeLocked(l)
	}
	q.mu.Unlock()
	if l != nil {
		q.addTask(filing{record: number, id: id, unlink: l.letterName()})
	}
}

func (q *letters) addTask(f filing) {
	q.mu.Lock()
	q.tasks = append(q.tasks, f)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// filedThrough is the number of the last record that the filer is done with, next being that of the next one.
func (q *letters) filedThrough(next uint64) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.tasks) > 0 {
		return q.tasks[0].record - 1
	}
	return next - 1
}

// get returns a copy of the index's entry.
func (q *letters) get(id uint64) (letter, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.byID[id]
	if l == nil {
		return letter{}, false
	}
	return *l, true
}

// after returns up to limit letters with an ID above after, in order.
func (q *letters) after(after uint64, limit int) []letter {
	q.mu.Lock()
	defer q.mu.Unlock()
	var found []letter
	for _, id := range slices.Sorted(maps.Keys(q.byID)) {
		if id > after && len(found) < limit {
			found = append(found, *q.byID[id])
		}
	}
	return found
}

// sizes returns the bytes by output and the number of all.
func (q *letters) sizes() (byOutput map[string]int64, total int64, count int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, n := range q.bytes {
		total += n
	}
	return maps.Clone(q.bytes), total, len(q.byID)
}

// fits reports whether size more bytes leave an output, or the receiver (""), within its share.
func (q *letters) fits(output string, size, share int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes[output]+size <= share {
		delete(q.refusal, output)
		return true
	}
	q.refusal[output] = size
	return false
}

// isFull reports whether an output's share is used up: not even the smallest fits, or the last one that found no room still
// doesn't.
func (q *letters) isFull(output string, share int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes[output]+max(minLetter, q.refusal[output]) > share
}

// refused reports whether an output's refusal of an event is kept already.
func (q *letters) refused(output string, seq uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return seq != 0 && q.byOutput[outputSeq{output, seq}] != nil
}

// candidates are the letters, quarantined on receipt, that may have a body.
func (q *letters) candidates(digest queue.Digest) []letter {
	q.mu.Lock()
	defer q.mu.Unlock()
	var all []letter
	for _, l := range q.byDigest[digestPrefix(digest[:16])] {
		all = append(all, *l)
	}
	return all
}

// newest is the highest ID that the folder shows.
func (q *letters) newest() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	high := uint64(0)
	for id := range q.byID {
		high = max(high, id)
	}
	return high
}

// letterFile is what a letter's file holds.
type letterFile struct {
	ID         uint64         `json:"id"`
	Reason     string         `json:"reason"`
	Output     string         `json:"output,omitempty"`
	At         time.Time      `json:"at"`
	Seq        uint64         `json:"bridge_seq,omitempty"`
	Endpoint   string         `json:"endpoint"`
	DeliveryID string         `json:"delivery_id,omitempty"`
	ReceivedAt time.Time      `json:"received_at"`
	ReceivedBy string         `json:"received_by,omitempty"`
	Signature  string         `json:"signature,omitempty"`
	SecretName string         `json:"secret_name,omitempty"`
	ClientAddr string         `json:"client_addr,omitempty"`
	Header     []queue.Header `json:"header,omitempty"`
	Notes      []string       `json:"notes,omitempty"`
	ResendOf   uint64         `json:"resend_of,omitempty"`
	Only       []string       `json:"only,omitempty"`
	Synthetic  bool           `json:"synthetic,omitempty"`
	BodySHA256 string         `json:"body_sha256"`
	Checksum   string         `json:"checksum"`              // SHA-256 of this object without it and without the body
	Body       string         `json:"body,omitempty"`        // when it is valid UTF-8
	BodyBase64 []byte         `json:"body_base64,omitempty"` // else
}

func encodeLetter(item *queue.DeadLetter) ([]byte, error) {
	e := &item.Event
	sum := sha256.Sum256(e.Body)
	f := letterFile{
		ID: item.ID, Reason: item.Reason, Output: item.Output, At: item.At, Seq: e.Seq, Endpoint: e.Endpoint, DeliveryID: e.DeliveryID,
		ReceivedAt: e.ReceivedAt, ReceivedBy: e.ReceivedBy, Signature: e.Signature, SecretName: e.SecretName, ClientAddr: e.ClientAddr,
		Header: e.Header, Notes: e.Notes, ResendOf: e.ResendOf, Only: e.Only, Synthetic: e.Synthetic,
		BodySHA256: hex.EncodeToString(sum[:]),
	}
	var err error
	if f.Checksum, err = f.sum(); err != nil {
		return nil, err
	}
	if utf8.Valid(e.Body) {
		f.Body = string(e.Body)
	} else {
		f.BodyBase64 = e.Body
	}
	b, err := json.MarshalIndent(&f, "", " ")
	return append(b, '\n'), err
}

func (f letterFile) sum() (string, error) {
	f.Checksum, f.Body, f.BodyBase64 = "", "", nil
	b, err := json.Marshal(&f)
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), err
}

// errLetter says that a letter's file does not hold what was written.
var errLetter = errors.New("the file does not match its checksum")

func decodeLetter(b []byte) (*queue.DeadLetter, error) {
	var f letterFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("%w: %w", errLetter, err)
	}
	body := []byte(f.Body)
	if f.BodyBase64 != nil {
		body = f.BodyBase64
	}
	sum := sha256.Sum256(body)
	if want, err := f.sum(); err != nil || want != f.Checksum || hex.EncodeToString(sum[:]) != f.BodySHA256 {
		return nil, errLetter
	}
	item := &queue.DeadLetter{ID: f.ID, Reason: f.Reason, Output: f.Output, At: f.At, Event: queue.Event{
		Seq: f.Seq, ReceivedAt: f.ReceivedAt, ReceivedBy: f.ReceivedBy, Endpoint: f.Endpoint, DeliveryID: f.DeliveryID,
		Signature: f.Signature, SecretName: f.SecretName, ClientAddr: f.ClientAddr, Header: f.Header, Notes: f.Notes,
		ResendOf: f.ResendOf, Only: f.Only, Synthetic: f.Synthetic, Body: body,
	}}
	return item, nil
}

// readFile reads a letter from its file. The bytes are returned also when they don't match (errLetter).
func (q *letters) readFile(l *letter) (*queue.DeadLetter, []byte, error) {
	file, err := q.fs.Open(filepath.Join(q.dir, l.letterName()), os.O_RDONLY, 0)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	b := make([]byte, info.Size)
	n, err := file.ReadAt(b, 0)
	if err != nil && !isEOF(err) {
		return nil, nil, err
	}
	b = b[:n]
	item, err := decodeLetter(b)
	if err == nil && item.ID != l.id {
		err = errLetter
	}
	return item, b, err
}

// writeFile writes a letter's file; the folder is synced later.
func (q *letters) writeFile(item *queue.DeadLetter, name string) error {
	b, err := encodeLetter(item)
	if err != nil {
		return err
	}
	path := filepath.Join(q.dir, name)
	file, err := q.fs.Open(path+temporarySuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(b, 0)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return q.fs.Rename(path+temporarySuffix, path)
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
