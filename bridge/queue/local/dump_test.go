package local

import (
	"fmt"
	"strings"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
)

func (r *rig) dump() string {
	var b strings.Builder
	for _, p := range r.disk.Files(rigFolder + "/log") {
		fmt.Fprintln(&b, p, len(r.disk.Content(p)))
	}
	if q, ok := r.q.(*engine); ok && q != nil {
		s := q.current()
		fmt.Fprintf(&b, "state last %d gone %v losses %v snapshotAt %d filed %d\n", s.state.LastSeq, s.state.Gone, s.state.Losses, s.snapshotAt, s.state.Filed)
		for n, o := range s.state.Outputs {
			fmt.Fprintln(&b, n, o.Cursor, r.advanced[n])
		}
		for _, x := range s.indexes {
			fmt.Fprintf(&b, "index %d retired %v side %v records %d-%d seqs %d-%d bytes %d marks %v\n", x.meta.Number, x.retired, x.side != nil, x.meta.FirstRecord, x.meta.LastRecord, x.meta.FirstSeq, x.meta.LastSeq, x.meta.Bytes, len(x.marks))
		}
	}
	j, err := journal.Open(journal.Options{FS: r.disk.Clone(1).FS(), Directory: rigFolder + "/log"})
	if err != nil {
		return b.String() + err.Error()
	}
	for _, s := range j.Segments() {
		fmt.Fprintf(&b, "segment %d base %d\n", s.Number(), s.Base())
		c := s.Scanner(0, 0)
		for {
			g, err := c.Next()
			if m := c.Missing(); m != nil {
				fmt.Fprintf(&b, "   missing %v\n", *m)
			}
			if g == nil || err != nil {
				break
			}
			fmt.Fprintf(&b, "   @%d first %d marks %v:", g.Offset, g.First, g.Marks)
			for _, rec := range g.Records {
				fmt.Fprintf(&b, " %c", rec[0])
				if rec[0] == kindEvent {
					fmt.Fprintf(&b, "%d", sequenceOf(rec))
				}
			}
			fmt.Fprintln(&b)
		}
	}
	return b.String()
}
