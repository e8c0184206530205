package mapping

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/outputs/syslog/rfc5424"
)

// unknownPrefix goes before the name of an unknown field that is taken. Names that begin with it count as taken, so that
// two different names can never become one.
const unknownPrefix = "webhook"

// splunkNames are the fields that Splunk gives every event itself; a key of the same name in the event would be shown
// beside them or instead of them.
var splunkNames = [...]string{"host", "source", "sourcetype", "index", "time", "eventtype", "tag", "linecount", "punct",
	"splunk_server", "timestartpos", "timeendpos"}

// takenNames is the set of names that no unknown field may have.
func takenNames(more ...string) map[string]bool {
	taken := make(map[string]bool, len(columns)+len(splunkNames)+len(more)+3)
	for i := range columns {
		taken[columns[i].name] = true
	}
	taken[notesField], taken[cutField] = true, true
	for _, name := range splunkNames {
		taken[name] = true
	}
	for _, name := range more {
		taken[name] = true
	}
	return taken
}

// appendPrefix appends what goes before f's name so that it is unique and none of ours: nothing, "webhook_",
// "webhook2_" and so on.
func appendPrefix(dst []byte, taken map[string]bool, f *signal.Field) []byte {
	n := f.Nth
	if isTaken(taken, f.Name) {
		n++
	}
	if n == 0 {
		return dst
	}
	dst = append(dst, unknownPrefix...)
	if n > 1 {
		dst = strconv.AppendInt(dst, int64(n), 10)
	}
	return append(dst, '_')
}

// isTaken reports whether name, or what a receiver may make of it (Splunk turns what is no letter, digit or underscore into
// an underscore, others trim spaces), is a name that no unknown field may have.
func isTaken(taken map[string]bool, name string) bool {
	if name == "" || name[0] == '_' || taken[name] || strings.HasPrefix(name, unknownPrefix) {
		return true
	}
	var clean [40]byte // longer than any taken name
	n, word := 0, true
	for i := range len(name) {
		c := name[i]
		if !wordByte(c) {
			c, word = '_', false
		}
		if n < len(clean) {
			clean[n] = c
			n++
		}
	}
	return !word && taken[string(bytes.Trim(clean[:n], "_"))]
}

// maxWord leaves room for the longest prefix of a sane record ("webhook99_") within rfc5424.MaxName.
const maxWord = rfc5424.MaxName - len(unknownPrefix) - 3

// isWordName reports whether f keeps its name where names are words: letters, digits and underscores. Other characters
// would be legal in structured data, but a search for (\w+)="..." would then find our signal_id in "x-signal_id".
func isWordName(f *signal.Field) bool {
	if len(f.Name) > maxWord || f.Nth > 90 {
		return false
	}
	for i := range len(f.Name) {
		if !wordByte(f.Name[i]) {
			return false
		}
	}
	return f.Name != ""
}

func wordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// appendWordName appends the name that stands for one that is no word: "webhookX", the field's number, "_" and what is
// left of the name, together at most rfc5424.MaxName octets.
func appendWordName(dst []byte, f *signal.Field, number int) []byte {
	start := len(dst)
	dst = append(append(dst, unknownPrefix...), 'X')
	dst = append(strconv.AppendInt(dst, int64(number), 10), '_')
	for i := 0; i < len(f.Name) && len(dst)-start < rfc5424.MaxName; i++ {
		if c := f.Name[i]; wordByte(c) {
			dst = append(dst, c)
		}
	}
	return dst
}

// appendWord appends f's name where names are words.
func appendWord(dst []byte, taken map[string]bool, f *signal.Field, number int) []byte {
	if !isWordName(f) {
		return appendWordName(dst, f, number)
	}
	return append(appendPrefix(dst, taken, f), f.Name...)
}
