package queue

import (
	"bytes"
	"encoding/binary"
)

// maxDepth bounds a tree's height; bbolt's stay below ten.
const maxDepth = 64

// walker visits every page that a tree reaches and checks what bbolt takes for granted.
type walker struct {
	file    *pageFile
	visited []uint64 // one bit a page
	frames  [maxDepth + 2]frame
	// leaf, when set, gets every leaf's elements with the names of the buckets they are in.
	leaf func(path []string, list []element) error
	// broken decides about a damaged part: an error ends the walk, nil leaves the part out.
	broken func(error) error
}

// frame is the memory of one level of the walk; the pages of a level use it one after the other.
type frame struct {
	page []byte
	list []element
}

// verify walks the whole file and returns the first thing that is wrong with it.
func (p *pageFile) verify() error {
	if p.doubtful {
		return damage("one of the two meta pages is invalid")
	}
	w := &walker{file: p, broken: func(err error) error { return err }}
	if p.meta.freelist != noFreelist {
		if err := p.verifyEmptyFreelist(); err != nil {
			return err
		}
	}
	return w.walk()
}

// verifyEmptyFreelist checks the free list of a file that was just made; no later one has any.
func (p *pageFile) verifyEmptyFreelist() error {
	b, err := p.node(p.meta.freelist, nil)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	if le.Uint64(b) != p.meta.freelist || le.Uint16(b[8:]) != flagFreelist || le.Uint16(b[10:]) != 0 {
		return damage("free list")
	}
	return nil
}

func (w *walker) walk() error {
	w.visited = make([]uint64, w.file.meta.pages/64+1)
	return w.subtree(nil, w.file.meta.root, nil, nil, 0)
}

// subtree walks the pages under id, whose keys must lie in [low, high).
func (w *walker) subtree(path []string, id uint64, low, high []byte, depth int) error {
	list, leaf, err := w.visit(id, depth)
	if err == nil && len(list) > 0 {
		outside := (low != nil && bytes.Compare(list[0].key, low) < 0) ||
			(high != nil && bytes.Compare(list[len(list)-1].key, high) >= 0)
		if outside {
			err = damage("page %d holds keys of another page", id)
		}
	}
	if err != nil {
		return w.broken(err)
	}
	if leaf {
		return w.leafPage(path, list, depth)
	}
	for i, e := range list {
		end := high
		if i+1 < len(list) {
			end = list[i+1].key
		}
		if err := w.subtree(path, e.child, e.key, end, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// visit reads a page that must not have been visited before.
func (w *walker) visit(id uint64, depth int) (list []element, leaf bool, err error) {
	if id >= w.file.meta.pages || depth > maxDepth {
		return nil, false, damage("page %d is beyond the last", id)
	}
	f := &w.frames[depth]
	b, err := w.file.node(id, f.page)
	if err != nil {
		return nil, false, err
	}
	f.page = b
	overflow := uint64(binary.LittleEndian.Uint32(b[12:]))
	if id+overflow >= w.file.meta.pages {
		return nil, false, damage("page %d is longer than the tree", id)
	}
	for n := id; n <= id+overflow; n++ {
		if w.visited[n/64]&(1<<(n%64)) != 0 {
			return nil, false, damage("page %d is used twice", n)
		}
		w.visited[n/64] |= 1 << (n % 64)
	}
	list, leaf, err = elements(b, id, false, f.list)
	if err == nil {
		f.list = list
	}
	return list, leaf, err
}

// leafPage hands the elements on and walks the buckets among them.
func (w *walker) leafPage(path []string, list []element, depth int) error {
	if w.leaf != nil {
		if err := w.leaf(path, list); err != nil {
			return err
		}
	}
	for _, e := range list {
		if !e.bucket {
			continue
		}
		if err := w.bucket(append(path[:len(path):len(path)], string(e.key)), e.value, depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) bucket(path []string, value []byte, depth int) error {
	if root := binary.LittleEndian.Uint64(value); root != 0 {
		return w.subtree(path, root, nil, nil, depth+1)
	}
	list, _, err := elements(value[16:], 0, true, nil)
	if err != nil {
		return w.broken(err)
	}
	return w.leafPage(path, list, depth+1)
}
