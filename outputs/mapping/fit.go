package mapping

import (
	"slices"
	"sort"
	"strings"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// fit encodes a record that is too long so that it fits: with a shorter description (its copy in the structured data first,
// then MSG), else without the largest unknown fields too, else without any and with long values cut. Each stage gives what
// it leaves over back to the description.
func (s *Syslog) fit(dst []byte, rec *outputs.Record, sequence uint64) []byte {
	f := fitting{syslog: s, dst: dst, rec: rec, sequence: sequence, limits: whole, most: unlimited}
	if s.tooLong(rec) {
		f.most = s.max // what is behind is never looked at
	}
	if f.try() || f.dropFields() {
		return f.out
	}
	f.values = true // and no unknown field is left, or dropFields would have made do with it
	for _, stage := range [...]struct{ value, id int }{
		{512, unlimited}, {128, unlimited}, {32, unlimited}, {0, unlimited},
		// An ID of more than 256 octets is none that LinuxGuard makes. It is cut rather than let the message grow over a
		// limit beyond which a receiver takes the rest for a message of its own.
		{128, 256}, {32, 256}, {32, 100}, {0, 100}, {noValues, 48},
	} {
		f.limits.value, f.limits.id = stage.value, stage.id
		if f.try() {
			break
		}
	}
	return f.out
}

// fitting is the search for limits within which one record fits.
type fitting struct {
	syslog   *Syslog
	rec      *outputs.Record
	sequence uint64
	dst, out []byte
	limits   limits
	most     int  // of the description that can fit at all
	fields   bool // unknown fields are left out
	values   bool // values are cut
}

// encode encodes within the limits and returns how many octets are left, negative when it is too long. element and message
// are what the description may take in either place.
func (f *fitting) encode(element, message int) int {
	f.limits.element, f.limits.description = element, message
	f.limits.cut = f.cutText(element != f.most)
	f.out = f.syslog.encode(f.dst, f.rec, &f.limits, f.sequence)
	return f.syslog.max - (len(f.out) - len(f.dst))
}

// cutText says what is cut, for bridge_cut.
func (f *fitting) cutText(cutDescription bool) string {
	var what []string
	if cutDescription {
		what = append(what, "description")
	}
	if f.fields {
		what = append(what, "fields")
	}
	if f.values {
		what = append(what, "values")
	}
	return strings.Join(what, " ")
}

// try encodes with the description whole if that fits, else with as much of it as does.
func (f *fitting) try() bool {
	if (f.fields || f.values) && f.encode(f.most, f.most) >= 0 {
		return true
	}
	if room := f.encode(0, f.most); room >= 0 {
		return f.encode(room, f.most) >= 0
	}
	room := f.encode(0, 0)
	return room >= 0 && f.encode(0, room) >= 0
}

// dropFields leaves out the largest unknown fields, as few as it takes; of equally large ones the last.
func (f *fitting) dropFields() bool {
	var sizes []int
	fields := unknownFields(f.rec, &whole)
	for field, _ := fields.next(); field != nil; field, _ = fields.next() {
		sizes = append(sizes, len(field.Raw))
	}
	if len(sizes) == 0 {
		return false
	}
	slices.Sort(sizes)
	f.fields = true
	keep := func(n int) {
		f.limits.field = sizes[n]
		smaller, _ := slices.BinarySearch(sizes, sizes[n])
		f.limits.same = n - smaller
	}
	// All of them are too many, as try has found. None of them is always among the choices.
	keep(sort.Search(len(sizes)-1, func(n int) bool {
		keep(n + 1)
		return f.encode(0, 0) < 0
	}))
	return f.try()
}
