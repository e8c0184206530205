package journal

import (
	"bytes"
	"testing"
)

// FuzzHead: no page of bytes makes decodeHead panic or accept what a head can't be.
func FuzzHead(f *testing.F) {
	h := head{number: 3, salt: 7, size: 1 << 20, identity: "queue"}
	f.Add(h.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok, err := decodeHead(b, "file")
		if ok && (err != nil || h.size < headSize+sector || len(h.identity) > MaxIdentity) {
			t.Errorf("%+v, %v", h, err)
		}
	})
}

// FuzzGroup: no bytes make a group's header or records panic, and what is accepted lies within them.
func FuzzGroup(f *testing.F) {
	s := &head{number: 3, salt: 7, size: 1 << 20}
	j := &Journal{}
	b := bytes.Clone(j.assemble([][]byte{[]byte("one"), []byte("two")}))
	h := header{size: len(b), offset: headSize, count: 2, first: 5, base: 4}
	h.seal(b, s)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := looksLikeGroup(b, headSize, s)
		if !ok || h.size > len(b) {
			return
		}
		records, err := h.records(b)
		if err == nil && len(records) != h.count {
			t.Errorf("%d records, the header says %d", len(records), h.count)
		}
	})
}
