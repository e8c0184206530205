package rfc5424

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// The limits of the header's fields, in octets (RFC 5424, section 6).
const (
	MaxHostname = 255
	MaxAppName  = 48
	MaxProcID   = 128
	MaxMsgID    = 32
	MaxName     = 32 // of an SD-ID or a parameter
)

// BOM begins a MSG that is declared to be UTF-8 (section 6.4).
const BOM = "\xef\xbb\xbf"

// Header is all that stands before the structured data. Its strings may be anything: they are cleaned and cut.
type Header struct {
	Facility Facility
	Severity Severity
	Time     time.Time // zero writes "-"
	Hostname string
	AppName  string
	ProcID   string
	MsgID    string
}

// Severity is syslog's, 0 (emergency) to 7 (debug): lower is worse.
type Severity uint8

// The severities (section 6.2.1).
const (
	Emergency Severity = iota
	Alert
	Critical
	Error
	Warning
	Notice
	Informational
	Debug
)

// AppendHeader appends "<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID " with the space that ends it.
func AppendHeader(dst []byte, h *Header) []byte {
	dst = AppendPriority(dst, h.Facility, h.Severity)
	dst = append(dst, '1', ' ')
	dst = append(AppendTimestamp(dst, h.Time), ' ')
	dst = append(AppendHeaderField(dst, h.Hostname, MaxHostname), ' ')
	dst = append(AppendHeaderField(dst, h.AppName, MaxAppName), ' ')
	dst = append(AppendHeaderField(dst, h.ProcID, MaxProcID), ' ')
	return append(AppendHeaderField(dst, h.MsgID, MaxMsgID), ' ')
}

// AppendPriority appends "<PRI>". Values out of range are taken for local7 and debug, so that PRI stays within 0..191.
func AppendPriority(dst []byte, f Facility, s Severity) []byte {
	dst = append(dst, '<')
	dst = strconv.AppendUint(dst, uint64(min(f, maxFacility))<<3|uint64(min(s, Debug)), 10)
	return append(dst, '>')
}

// AppendTimestamp appends t as section 6.2.3 wants it: its own offset or Z, as many fractional digits as it has but at
// most six, no leap second. A zero time, or a year of other than four digits, is "-".
func AppendTimestamp(dst []byte, t time.Time) []byte {
	if y := t.Year(); t.IsZero() || y < 0 || y > 9999 {
		return append(dst, '-')
	}
	if _, offset := t.Zone(); offset%60 != 0 || offset <= -24*3600 || offset >= 24*3600 {
		t = t.UTC() // an offset that hh:mm can't hold
	}
	switch micros := t.Nanosecond() / 1000; {
	case micros == 0:
		return t.AppendFormat(dst, "2006-01-02T15:04:05Z07:00")
	case micros%1000 == 0:
		return t.AppendFormat(dst, "2006-01-02T15:04:05.000Z07:00")
	default:
		return t.AppendFormat(dst, "2006-01-02T15:04:05.000000Z07:00")
	}
}

// AppendHeaderField appends s cleaned to PRINTUSASCII (33..126) and cut to limit octets. Every character outside is one
// "_"; an empty s is the nil value "-".
func AppendHeaderField(dst []byte, s string, limit int) []byte {
	if s == "" {
		return append(dst, '-')
	}
	if len(s) <= limit && printable(s) {
		return append(dst, s...)
	}
	for start := len(dst); len(s) > 0 && len(dst)-start < limit; {
		c, size := s[0], 1
		if c >= utf8.RuneSelf {
			_, size = utf8.DecodeRuneInString(s)
		}
		if c <= ' ' || c > '~' {
			c = '_'
		}
		dst = append(dst, c)
		s = s[size:]
	}
	return dst
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
