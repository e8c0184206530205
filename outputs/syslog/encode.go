package syslog

import (
	"bytes"
	"cmp"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
)

// encoder appends one record as a syslog message without framing, at most max_message_bytes long, and says whether it
// had to cut something.
type encoder interface {
	Append(dst []byte, rec *outputs.Record) (out []byte, cut bool)
}

// counting is an encoder that counts what it cut.
type counting struct {
	inner encoder
	cut   prometheus.Counter
}

// Append implements encoder.
func (c *counting) Append(dst []byte, rec *outputs.Record) (out []byte, cut bool) {
	out, cut = c.inner.Append(dst, rec)
	if cut {
		c.cut.Inc()
	}
	return out, cut
}

// newEncoder makes an encoder of the settings. It is safe for concurrent use.
func newEncoder(env outputs.Env, s *Settings) (encoder, error) {
	location := time.UTC
	if s.TimeZone != "" {
		var err error
		if location, err = time.LoadLocation(s.TimeZone); err != nil {
			return nil, &outputs.KeyError{Key: "time_zone", Err: err}
		}
	}
	return mapping.NewSyslog(mapping.SyslogOptions{
		Format: s.Format, Message: s.Message, StructuredData: s.StructuredData, Facility: string(s.Facility), AppName: s.AppName, EnterpriseID: string(s.EnterpriseID),
		MaxMessageBytes: int(s.MaxMessageBytes), BOM: s.BOM, SequenceID: s.SDMeta, Origin: s.SDOrigin, TimeQuality: s.SDTimeQuality,
		Version: env.Version, Location: location, NoHostname: s.OmitHostname,
	})
}

// framer turns a batch into the bytes of a stream.
type framer interface {
	appendBatch(dst []byte, batch []outputs.Record) []byte
}

// octetCounted is RFC 6587 section 3.4.1 and RFC 5425 section 4.3: MSG-LEN SP SYSLOG-MSG, where the length counts
// the message's octets alone.
type octetCounted struct {
	encoder encoder
	message []byte
}

func (o *octetCounted) appendBatch(dst []byte, batch []outputs.Record) []byte {
	for i := range batch {
		o.message, _ = o.encoder.Append(o.message[:0], &batch[i])
		dst = strconv.AppendInt(dst, int64(len(o.message)), 10)
		dst = append(dst, ' ')
		dst = append(dst, o.message...)
	}
	return dst
}

// newlined is RFC 6587 section 3.4.2 with LF, which a message therefore can't hold.
type newlined struct{ encoder encoder }

func (n *newlined) appendBatch(dst []byte, batch []outputs.Record) []byte {
	for i := range batch {
		start := len(dst)
		dst, _ = n.encoder.Append(dst, &batch[i])
		replaceByte(dst[start:], '\n', ' ')
		replaceByte(dst[start:], 0, ' ') // some receivers end a message there
		dst = append(dst, '\n')
	}
	return dst
}

// replaceByte is a net under the encoder, which escapes control characters already.
func replaceByte(b []byte, old, with byte) {
	for {
		i := bytes.IndexByte(b, old)
		if i < 0 {
			return
		}
		b[i] = with
		b = b[i+1:]
	}
}

// Complete fills in what mapping takes for an empty key, for those who look at the settings.
func (s *Settings) Complete() {
	s.Format, s.Message = cmp.Or(s.Format, mapping.FormatRFC5424), cmp.Or(s.Message, mapping.MessageText)
	s.Facility, s.AppName, s.EnterpriseID = cmp.Or(s.Facility, "user"), cmp.Or(s.AppName, mapping.DefaultAppName), cmp.Or(s.EnterpriseID, mapping.DefaultEnterpriseID)
	s.Framing, s.TimeZone = cmp.Or(s.Framing, s.usualFraming()), cmp.Or(s.TimeZone, "UTC")
	switch {
	case s.Format == mapping.FormatRFC3164:
	case s.Message == mapping.MessageText:
		s.StructuredData = cmp.Or(s.StructuredData, mapping.StructuredFull)
	default:
		s.StructuredData = cmp.Or(s.StructuredData, mapping.StructuredIDs)
	}
}
