package mapping

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/syslog/rfc5424"
)

// The formats of a syslog message.
const (
	FormatRFC5424 = "rfc5424"
	FormatRFC3164 = "rfc3164"
)

// What MSG holds.
const (
	MessageText = "text" // the description
	MessageJSON = "json" // the whole signal, flat
	MessageCEF  = "cef"
	MessageLEEF = "leef"
	MessageOCSF = "ocsf" // a Detection Finding of the Open Cybersecurity Schema Framework
)

// What the structured data of RFC 5424 holds of a signal.
const (
	StructuredFull = "full" // every field
	StructuredIDs  = "ids"  // the IDs, by which records are found, and bridge_seq, by which gaps are
	StructuredNone = "none"
)

// The defaults of SyslogOptions.
const (
	DefaultAppName         = "linuxguard"
	DefaultEnterpriseID    = "32473" // RFC 5612: for documentation only
	DefaultMaxMessageBytes = 8192    // rsyslog's
	MinMaxMessageBytes     = 1024    // all IDs fit beside a header and every optional element
	MinMaxStructuredBytes  = 2048    // the same when MSG is no text and repeats them
)

// SyntheticMsgID is the MSGID of what the bridge says itself.
const SyntheticMsgID = SyntheticSourcetype

// SyslogOptions says how messages look. The zero value is valid.
type SyslogOptions struct {
	Format          string // rfc5424 (default) or rfc3164
	Message         string // text (default), json, cef, leef or ocsf
	StructuredData  string // of rfc5424: full, ids or none; default full with text, ids with the others, which have every field
	Facility        string // number or unambiguous name; default user
	AppName         string // default linuxguard
	EnterpriseID    string // after the "@" of our SD-ID: digits, with dots between them; default 32473
	MaxMessageBytes int    // of one message before framing; default 8192, at least 1024, with another message than text 2048

	BOM         bool // before MSG when it is text; RFC 5424 wants it, rsyslog keeps it in msg
	SequenceID  bool // SD-ELEMENT meta with sequenceId
	Origin      bool // SD-ELEMENT origin with software and version
	TimeQuality bool // SD-ELEMENT timeQuality with tzKnown

	Version    string         // of the bridge, for origin
	Location   *time.Location // of RFC 3164's time stamps, which name no zone; default UTC
	NoHostname bool           // RFC 3164 without HOSTNAME, as journald wants it on /dev/log
}

// Syslog encodes records as syslog messages. It is safe for concurrent use.
type Syslog struct {
	format   string
	message  string
	data     string // structured data
	facility rfc5424.Facility
	appName  string
	tag      string // RFC 3164's TAG
	sdID     string
	max      int
	bom      bool
	location *time.Location
	noHost   bool
	origin   string // the ready element, or ""
	quality  bool
	sequence *atomic.Uint64 // nil: no meta element
	flat     flat
}

// NewSyslog checks o. Its errors are joined *outputs.KeyError with the configuration's keys.
func NewSyslog(o SyslogOptions) (*Syslog, error) {
	facility, err := rfc5424.ParseFacility(orDefault(o.Facility, "user"))
	errs := []error{keyError("facility", err)}
	s := &Syslog{
		format: orDefault(o.Format, FormatRFC5424), message: orDefault(o.Message, MessageText), facility: facility,
		appName: orDefault(o.AppName, DefaultAppName), max: o.MaxMessageBytes, bom: o.BOM, location: o.Location,
		noHost: o.NoHostname, quality: o.TimeQuality, flat: flat{taken: takenNames(), ocsf: o.Message == MessageOCSF},
	}
	s.data = orDefault(o.StructuredData, StructuredFull)
	if o.StructuredData == "" && s.message != MessageText {
		s.data = StructuredIDs
	}
	if o.StructuredData != "" && s.format == FormatRFC3164 {
		errs = append(errs, keyError("structured_data", errors.New("RFC 3164 has none: remove the key")))
	}
	enterprise := orDefault(o.EnterpriseID, DefaultEnterpriseID)
	s.sdID = "linuxguard@" + enterprise
	errs = append(errs, s.check(enterprise))
	if s.max == 0 {
		s.max = DefaultMaxMessageBytes
	}
	if s.location == nil {
		s.location = time.UTC
	}
	if o.SequenceID {
		s.sequence = new(atomic.Uint64)
	}
	if o.Origin {
		s.origin = originElement(enterprise, o.Version)
	}
	s.tag = tag(s.appName)
	return s, errors.Join(errs...)
}

func keyError(key string, err error) error {
	if err == nil {
		return nil
	}
	return &outputs.KeyError{Key: key, Err: err}
}

func (s *Syslog) check(enterprise string) error {
	var errs []error
	bad := func(key, format string, args ...any) { errs = append(errs, keyError(key, fmt.Errorf(format, args...))) }
	if s.format != FormatRFC5424 && s.format != FormatRFC3164 {
		bad("format", "unknown format %q: use rfc5424 or rfc3164", s.format)
	}
	switch s.message {
	case MessageText:
	case MessageJSON, MessageCEF, MessageLEEF, MessageOCSF:
		if s.bom {
			bad("bom", "a byte order mark before %s would hide its first characters from parsers; use it with message = \"text\" only", s.message)
		}
	default:
		bad("message", "unknown message %q: use text, json, cef, leef or ocsf", s.message)
	}
	switch s.data {
	case StructuredFull, StructuredIDs:
	case StructuredNone:
		if s.message == MessageText {
			bad("structured_data", "with message = \"text\" it has all but the description: use full or ids")
		}
	default:
		bad("structured_data", "unknown value %q: use full, ids or none", s.data)
	}
	if s.bom && s.format == FormatRFC3164 {
		bad("bom", "RFC 3164 has no byte order mark")
	}
	if len(s.appName) > rfc5424.MaxAppName || string(rfc5424.AppendHeaderField(nil, s.appName, rfc5424.MaxAppName)) != s.appName {
		bad("app_name", "%q is not 1 to 48 printable ASCII characters without spaces", s.appName)
	}
	if !validEnterpriseID(enterprise) || len(s.sdID) > rfc5424.MaxName {
		bad("enterprise_id", "%q is not a private enterprise number (digits, with dots for sub-identifiers, at most %d characters)", enterprise, rfc5424.MaxName-len("linuxguard@"))
	}
	least := MinMaxMessageBytes
	if s.message != MessageText {
		least = MinMaxStructuredBytes
	}
	if s.max != 0 && s.max < least {
		bad("max_message_bytes", "%d is too small for the IDs of a signal: use at least %d", s.max, least)
	}
	return errors.Join(errs...)
}

func validEnterpriseID(id string) bool {
	for part := range strings.SplitSeq(id, ".") {
		if part == "" || strings.Trim(part, "0123456789") != "" {
			return false
		}
	}
	return true
}

// originElement returns the element of RFC 5424, section 7.2, for this program.
func originElement(enterprise, version string) string {
	dst := rfc5424.OpenElement(nil, "origin")
	dst = rfc5424.AppendParam(dst, "enterpriseId", enterprise)
	dst = rfc5424.AppendParam(dst, "software", "linuxguard-bridge")
	if version != "" {
		dst = rfc5424.AppendParam(dst, "swVersion", version[:min(len(version), 32)])
	}
	return string(rfc5424.CloseElement(dst))
}

// tag makes RFC 3164's TAG of an APP-NAME: at most 32 alphanumeric characters, and none that would end it.
func tag(appName string) string {
	dst := make([]byte, 0, 32)
	for i := 0; i < len(appName) && len(dst) < 32; i++ {
		if c := appName[i]; wordByte(c) || c == '-' {
			dst = append(dst, c)
		}
	}
	return orDefault(string(dst), DefaultAppName)
}
