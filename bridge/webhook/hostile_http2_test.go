package webhook

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"

	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// frames is the client's end of an HTTP/2 connection that may write anything.
type frames struct {
	conn   net.Conn
	framer *http2.Framer
	hpack  bytes.Buffer
	enc    *hpack.Encoder
	body   []byte // a signed body of this case's own
	sig    string
	ended  chan uint32 // the streams that the server has ended
}

func dialFrames(rig *rig, name string, preface string) (*frames, error) {
	conn, err := rig.dial("h2")
	if err != nil {
		return nil, err
	}
	f := &frames{conn: conn, framer: http2.NewFramer(conn, conn), body: payload("sig_"+name, time.Now()), ended: make(chan uint32, 64)}
	f.framer.AllowIllegalWrites, f.framer.AllowIllegalReads = true, true
	f.enc = hpack.NewEncoder(&f.hpack)
	f.sig = sign(testSecret, f.body)
	if _, err := io.WriteString(conn, preface); err != nil {
		return nil, err
	}
	return f, nil
}

// block encodes pairs of names and values, of which a value may hold placeholders.
func (f *frames) block(pairs ...string) []byte {
	f.hpack.Reset()
	for i := 0; i < len(pairs); i += 2 {
		value := strings.NewReplacer("{SIG}", f.sig, "{LEN}", fmt.Sprint(len(f.body))).Replace(pairs[i+1])
		_ = f.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: value})
	}
	return bytes.Clone(f.hpack.Bytes())
}

func usual(more ...string) []string {
	return append([]string{":method", "POST", ":scheme", "https", ":authority", "bridge", ":path", testPath,
		"content-type", "application/json", "linuxguard-signature", "{SIG}"}, more...)
}

// without returns pairs without the fields called name.
func without(pairs []string, name string) []string {
	var kept []string
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] != name {
			kept = append(kept, pairs[i], pairs[i+1])
		}
	}
	return kept
}

func (f *frames) headers(stream uint32, end bool, pairs ...string) {
	_ = f.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: f.block(pairs...), EndStream: end, EndHeaders: true})
}

// await waits for the end of a stream's answer.
func (f *frames) await() {
	select {
	case <-f.ended:
	case <-time.After(20 * time.Second):
	}
}

// http2Case writes whatever it likes; write errors are no matter, since the server may have closed.
type http2Case struct {
	name    string
	preface string // instead of the client preface
	send    func(f *frames)
}

func hostileHTTP2() []http2Case {
	post := func(f *frames, stream uint32, more ...string) {
		f.headers(stream, false, usual(more...)...)
		_ = f.framer.WriteData(stream, true, f.body)
	}
	replaced := func(name, value string) func(f *frames) {
		return func(f *frames) {
			pairs := usual()
			if i := slices.Index(pairs, name); i >= 0 {
				pairs[i+1] = value
			}
			f.headers(1, false, pairs...)
			_ = f.framer.WriteData(1, true, f.body)
		}
	}
	lacking := func(name string) func(f *frames) {
		return func(f *frames) {
			f.headers(1, false, without(usual(), name)...)
			_ = f.framer.WriteData(1, true, f.body)
		}
	}
	// A malformed header block ends its stream, lest the reset and the body after it race.
	alone := func(pairs ...string) func(f *frames) { return func(f *frames) { f.headers(1, true, pairs...) } }
	malformed := func(more ...string) func(f *frames) { return alone(usual(more...)...) }
	wrong := func(name, value string) func(f *frames) {
		return alone(append([]string{name, value}, without(usual(), name)...)...)
	}
	with := func(more ...string) func(f *frames) { return func(f *frames) { post(f, 1, more...) } }
	return []http2Case{
		{name: "plain", send: func(f *frames) { post(f, 1) }},
		{name: "two-streams", send: func(f *frames) {
			f.headers(1, false, usual()...)
			f.headers(3, false, usual()...)
			_ = f.framer.WriteData(3, true, []byte("{}"))
			_ = f.framer.WriteData(1, true, f.body)
		}},
		{name: "body-in-many-frames", send: func(f *frames) {
			f.headers(1, false, usual()...)
			for i := range f.body {
				_ = f.framer.WriteData(1, i == len(f.body)-1, f.body[i:i+1])
			}
		}},
		{name: "body-padded", send: func(f *frames) {
			f.headers(1, false, usual()...)
			_ = f.framer.WriteDataPadded(1, true, f.body, make([]byte, 200))
		}},

		// The preface and the first frames.
		{name: "preface-http1", preface: "POST / HTTP/1.1\r\nHost: bridge\r\n\r\n", send: func(*frames) {}},
		{name: "preface-cut", preface: "PRI * HTTP/2.0\r\n", send: func(f *frames) { _ = f.conn.(*tls.Conn).CloseWrite() }},
		{name: "preface-without-settings", preface: http2.ClientPreface, send: func(f *frames) { post(f, 1) }},
		{name: "settings-on-a-stream", send: func(f *frames) { _ = f.framer.WriteRawFrame(http2.FrameSettings, 0, 1, nil) }},
		{name: "settings-of-odd-length", send: func(f *frames) { _ = f.framer.WriteRawFrame(http2.FrameSettings, 0, 0, make([]byte, 5)) }},
		{name: "settings-ack-with-payload", send: func(f *frames) {
			_ = f.framer.WriteRawFrame(http2.FrameSettings, http2.FlagSettingsAck, 0, make([]byte, 6))
		}},
		{name: "settings-ack-unasked", send: func(f *frames) {
			for range 3 {
				_ = f.framer.WriteSettingsAck()
			}
			post(f, 1)
		}},
		{name: "settings-bad-push", send: func(f *frames) {
			_ = f.framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 2})
		}},
		{name: "settings-bad-window", send: func(f *frames) {
			_ = f.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
		}},
		{name: "settings-bad-frame-size", send: func(f *frames) {
			_ = f.framer.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1})
		}},
		{name: "settings-unknown", send: func(f *frames) {
			_ = f.framer.WriteSettings(http2.Setting{ID: 0xfafa, Val: 1})
			post(f, 1)
		}},

		// Streams.
		{name: "stream-zero", send: func(f *frames) { f.headers(0, true, usual()...) }},
		{name: "stream-even", send: func(f *frames) { f.headers(2, true, usual()...) }},
		{name: "stream-number-falls", send: func(f *frames) { post(f, 5); f.await(); post(f, 3) }},
		{name: "stream-used-again", send: func(f *frames) { post(f, 1); f.await(); post(f, 1) }},
		{name: "data-before-headers", send: func(f *frames) { _ = f.framer.WriteData(1, true, f.body) }},
		{name: "data-on-stream-zero", send: func(f *frames) { _ = f.framer.WriteData(0, true, f.body) }},
		{name: "data-after-end", send: func(f *frames) { post(f, 1); f.await(); _ = f.framer.WriteData(1, true, f.body) }},
		{name: "data-padding-too-long", send: func(f *frames) {
			f.headers(1, false, usual()...)
			_ = f.framer.WriteRawFrame(http2.FrameData, http2.FlagDataPadded|http2.FlagDataEndStream, 1, []byte{200, 'x'})
		}},
		{name: "data-beyond-frame-size", send: func(f *frames) {
			f.headers(1, false, usual()...)
			_ = f.framer.WriteRawFrame(http2.FrameData, http2.FlagDataEndStream, 1, make([]byte, 2<<20))
		}},
		{name: "data-beyond-window", send: func(f *frames) {
			f.headers(1, false, usual("content-length", "5000000")...) // answered at once, so that nobody reads the data
			f.await()
			for range 40 {
				_ = f.framer.WriteData(1, false, make([]byte, 16<<10))
			}
		}},
		{name: "window-update-zero", send: func(f *frames) { _ = f.framer.WriteRawFrame(http2.FrameWindowUpdate, 0, 0, make([]byte, 4)) }},
		{name: "window-update-overflow", send: func(f *frames) { _ = f.framer.WriteWindowUpdate(0, 1<<31-1) }},
		{name: "window-update-idle-stream", send: func(f *frames) { _ = f.framer.WriteWindowUpdate(7, 1) }},
		{name: "reset-idle-stream", send: func(f *frames) { _ = f.framer.WriteRSTStream(7, http2.ErrCodeCancel) }},
		{name: "reset-in-body", send: func(f *frames) {
			f.headers(1, false, usual()...)
			_ = f.framer.WriteData(1, false, f.body[:5])
			_ = f.framer.WriteRSTStream(1, http2.ErrCodeCancel)
			post(f, 3)
		}},
		{name: "priority-on-itself", send: func(f *frames) {
			_ = f.framer.WritePriority(1, http2.PriorityParam{StreamDep: 1})
			post(f, 3)
		}},
		{name: "push-promise", send: func(f *frames) {
			_ = f.framer.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: f.block(usual()...), EndHeaders: true})
		}},
		{name: "ping-on-a-stream", send: func(f *frames) { _ = f.framer.WriteRawFrame(http2.FramePing, 0, 1, make([]byte, 8)) }},
		{name: "ping-short", send: func(f *frames) { _ = f.framer.WriteRawFrame(http2.FramePing, 0, 0, make([]byte, 7)) }},
		{name: "goaway-on-a-stream", send: func(f *frames) { _ = f.framer.WriteRawFrame(http2.FrameGoAway, 0, 1, make([]byte, 8)) }},
		{name: "goaway-then-request", send: func(f *frames) {
			_ = f.framer.WriteGoAway(0, http2.ErrCodeNo, nil)
			post(f, 1)
		}},
		{name: "unknown-frame-type", send: func(f *frames) {
			_ = f.framer.WriteRawFrame(0xee, 0xff, 1, []byte("anything"))
			post(f, 1)
		}},

		// Header blocks.
		{name: "hpack-garbage", send: func(f *frames) {
			_ = f.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff, 0xff, 0xff, 0xff, 0xff}, EndHeaders: true})
		}},
		{name: "hpack-index-out-of-table", send: func(f *frames) {
			_ = f.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xfe}, EndHeaders: true})
		}},
		{name: "hpack-bomb", send: func(f *frames) {
			// One field of 4 KiB in the dynamic table, then named a thousand times by one byte each.
			block := append(f.block(usual("x-bomb", strings.Repeat("b", 3900))...), bytes.Repeat([]byte{0xbe}, 1000)...)
			_ = f.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true, EndStream: true})
		}},
		{name: "headers-never-ended", send: func(f *frames) {
			_ = f.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.block(usual()...), EndStream: true})
		}},
		{name: "headers-interrupted", send: func(f *frames) {
			_ = f.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.block(usual()...)})
			_ = f.framer.WritePing(false, [8]byte{})
		}},
		{name: "continuation-alone", send: func(f *frames) { _ = f.framer.WriteContinuation(1, true, f.block(usual()...)) }},
		{name: "continuation-flood", send: func(f *frames) {
			_ = f.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.block(usual()...)})
			for range 500 {
				if f.framer.WriteContinuation(1, false, f.block("x-flood", strings.Repeat("c", 1000))) != nil {
					return
				}
			}
		}},
		{name: "continuation-empty-flood", send: func(f *frames) {
			_ = f.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.block(usual()...)})
			for range 20000 {
				if f.framer.WriteContinuation(1, false, nil) != nil {
					return
				}
			}
		}},
		{name: "header-list-too-large", send: malformed("x-large", strings.Repeat("a", 30<<10))},
		{name: "header-upper-case-name", send: malformed("X-Upper", "1")},
		{name: "header-bad-name", send: malformed("x bad", "1")},
		{name: "header-empty-name", send: malformed("", "1")},
		{name: "header-lf-in-value", send: malformed("x-split", "a\r\nlinuxguard-signature: b")},
		{name: "header-nul-in-value", send: malformed("x-nul", "a\x00b")},
		{name: "header-connection", send: malformed("connection", "close")},
		{name: "header-keep-alive", send: malformed("keep-alive", "1")},
		{name: "header-upgrade", send: malformed("upgrade", "h2c")},
		{name: "header-transfer-encoding", send: malformed("transfer-encoding", "chunked")},
		{name: "header-te-gzip", send: malformed("te", "gzip")},
		{name: "header-host-differs", send: with("host", "elsewhere")},
		{name: "header-expect-continue", send: with("expect", "100-continue")},
		{name: "header-expect-other", send: with("expect", "200-ok")},
		{name: "pseudo-after-header", send: alone(append(without(usual(), ":path"), ":path", testPath)...)},
		{name: "pseudo-twice", send: alone(append([]string{":path", "/"}, usual()...)...)},
		{name: "pseudo-unknown", send: alone(append([]string{":protocol", "websocket"}, usual()...)...)},
		{name: "pseudo-status", send: alone(append([]string{":status", "200"}, usual()...)...)},
		{name: "method-absent", send: alone(without(usual(), ":method")...)},
		{name: "scheme-absent", send: alone(without(usual(), ":scheme")...)},
		{name: "path-absent", send: alone(without(usual(), ":path")...)},
		{name: "authority-absent", send: lacking(":authority")},
		{name: "method-get", send: replaced(":method", "GET")},
		{name: "method-lower-case", send: replaced(":method", "post")},
		{name: "method-with-space", send: wrong(":method", "POST /x HTTP/1.1\r\nX: ")},
		{name: "method-connect", send: func(f *frames) { f.headers(1, true, ":method", "CONNECT", ":authority", "bridge:443") }},
		{name: "method-connect-with-path", send: wrong(":method", "CONNECT")},
		{name: "path-asterisk", send: replaced(":path", "*")},
		{name: "path-relative", send: wrong(":path", "webhooks/linuxguard")},
		{name: "path-absolute-uri", send: replaced(":path", "https://bridge"+testPath)},
		{name: "path-empty", send: wrong(":path", "")},
		{name: "path-with-crlf", send: wrong(":path", testPath+"\r\nX: y")},
		{name: "scheme-http", send: replaced(":scheme", "http")},
		{name: "scheme-unknown", send: wrong(":scheme", "gopher")},

		// Signatures, types and sizes.
		{name: "signature-absent", send: lacking("linuxguard-signature")},
		{name: "signature-wrong", send: replaced("linuxguard-signature", "sha256="+strings.Repeat("0", 64))},
		{name: "signature-twice", send: with("linuxguard-signature", "{SIG}")},
		{name: "signature-leading-space", send: replaced("linuxguard-signature", " {SIG}")},
		{name: "signature-in-trailer", send: func(f *frames) {
			f.headers(1, false, without(usual("trailer", "LinuxGuard-Signature"), "linuxguard-signature")...)
			_ = f.framer.WriteData(1, false, f.body)
			f.headers(1, true, "linuxguard-signature", "{SIG}")
		}},
		{name: "trailer-harmless", send: func(f *frames) {
			f.headers(1, false, usual()...)
			_ = f.framer.WriteData(1, false, f.body)
			f.headers(1, true, "x-sum", "1")
		}},
		{name: "trailer-pseudo", send: func(f *frames) {
			f.headers(1, false, usual()...)
			_ = f.framer.WriteData(1, false, f.body)
			f.headers(1, true, ":path", "/other")
		}},
		{name: "trailer-without-end", send: func(f *frames) {
			f.headers(1, false, usual()...)
			_ = f.framer.WriteData(1, false, f.body)
			f.headers(1, false, "x-sum", "1")
		}},
		{name: "type-absent", send: lacking("content-type")},
		{name: "encoding-gzip", send: with("content-encoding", "gzip")},
		{name: "length-right", send: with("content-length", "{LEN}")},
		{name: "length-too-short", send: with("content-length", "1")},
		{name: "length-too-long", send: with("content-length", "5000")},
		{name: "length-negative", send: malformed("content-length", "-1")},
		{name: "length-twice-different", send: with("content-length", "{LEN}", "content-length", "1")},
		{name: "length-above-limit", send: with("content-length", "100000")},
		{name: "size-above-limit", send: func(f *frames) {
			f.headers(1, false, usual()...)
			for range 9 {
				_ = f.framer.WriteData(1, false, make([]byte, 8<<10))
			}
			_ = f.framer.WriteData(1, true, nil)
		}},
		{name: "no-body", send: func(f *frames) { f.headers(1, true, usual()...) }},

		// Time.
		{name: "slow-body", send: func(f *frames) {
			f.headers(1, false, usual()...)
			_ = f.framer.WriteData(1, false, f.body[:5])
		}},
		{name: "silence", send: func(*frames) {}},
		{name: "connection-dropped", send: func(f *frames) {
			f.headers(1, false, usual()...)
			_ = f.framer.WriteData(1, false, f.body[:5])
			_ = f.conn.Close()
		}},
	}
}

// TestHostileHTTP2 is TestHostileHTTP1's twin over HTTP/2 frames.
func TestHostileHTTP2(t *testing.T) {
	t.Parallel()
	cases := hostileHTTP2()
	rig, impatient := hostileRigs(t, func(*Options, *ServerOptions) {})
	slow := func(i int) bool { return strings.HasPrefix(cases[i].name, "slow-") }
	got := hostileAnswers(len(cases), slow, func(i int) string {
		if slow(i) {
			return exchangeFrames(impatient, cases[i])
		}
		return exchangeFrames(rig, cases[i])
	})
	var text strings.Builder
	for i, c := range cases {
		fmt.Fprintf(&text, "%s\n    %s\n", c.name, got[i])
	}
	compareGolden(t, "hostile-http2.txt", text.String())
	rig.mustBeUnharmed()
	impatient.mustBeUnharmed()
}

func exchangeFrames(rig *rig, c http2Case) string {
	preface := c.preface
	if preface == "" {
		preface = http2.ClientPreface
	}
	f, err := dialFrames(rig, c.name, preface)
	if err != nil {
		return err.Error()
	}
	defer f.conn.Close() //nolint:errcheck // the test is over
	if c.preface == "" {
		_ = f.framer.WriteSettings()
	}
	go c.send(f)
	_ = f.conn.SetReadDeadline(time.Now().Add(50 * time.Second))
	return f.collect()
}

// collect reads until the connection ends and describes what came, stream by stream.
func (f *frames) collect() string {
	streams := map[uint32]string{}
	decoder := hpack.NewDecoder(4096, nil)
	var last string
	for {
		frame, err := f.framer.ReadFrame()
		if err != nil {
			if !errors.Is(err, io.EOF) && !isReset(err) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrUnexpectedEOF) {
				last += "; read: " + err.Error()
			}
			break
		}
		if frame.Header().Flags.Has(http2.FlagDataEndStream) && frame.Header().StreamID > 0 {
			f.ended <- frame.Header().StreamID
		}
		switch frame := frame.(type) {
		case *http2.HeadersFrame:
			fields, err := decoder.DecodeFull(frame.HeaderBlockFragment())
			if err != nil {
				last += "; hpack: " + err.Error()
			}
			streams[frame.StreamID] += describeFields(fields)
		case *http2.DataFrame:
			if len(frame.Data()) > 0 {
				streams[frame.StreamID] += fmt.Sprintf(" %q", frame.Data())
			}
		case *http2.RSTStreamFrame:
			text, before := " reset "+frame.ErrCode.String(), streams[frame.StreamID]
			// After an early answer the server may say that the rest of the body is not wanted, or finds the stream
			// closed when it comes: which of the two, and whether at all, is a race that both sides win.
			late := before != "" && (frame.ErrCode == http2.ErrCodeNo || frame.ErrCode == http2.ErrCodeStreamClosed)
			if !late && !strings.HasSuffix(before, text) {
				streams[frame.StreamID] += text
			}
		case *http2.GoAwayFrame:
			last = "goaway " + frame.ErrCode.String()
		}
	}
	var out []string
	for _, id := range slices.Sorted(maps.Keys(streams)) {
		out = append(out, fmt.Sprintf("stream %d:%s", id, streams[id]))
	}
	if last == "" {
		last = "closed"
	}
	return strings.Join(append(out, last), "\n    ")
}

func describeFields(fields []hpack.HeaderField) string {
	var all []string
	status := ""
	for _, f := range fields {
		switch f.Name {
		case ":status":
			status = f.Value
		case "date":
		default:
			all = append(all, f.Name+": "+f.Value)
		}
	}
	slices.Sort(all)
	return fmt.Sprintf(" %s [%s]", status, strings.Join(all, ", "))
}

// TestRapidReset opens and cancels streams as fast as it can (CVE-2023-44487): the server must end the connection or
// go on, with a bounded number of handlers at work, and serve others all the while.
func TestRapidReset(t *testing.T) {
	t.Parallel()
	rig := newRig(t, nil)
	f, err := dialFrames(rig, "reset", http2.ClientPreface)
	if err != nil {
		t.Fatal(err)
	}
	defer f.conn.Close() //nolint:errcheck // the test is over
	_ = f.framer.WriteSettings()
	collected := make(chan string, 1)
	go func() { collected <- f.collect() }()
	for id := uint32(1); id < 40001; id += 2 {
		if f.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.block(usual()...), EndHeaders: true}) != nil {
			break
		}
		if f.framer.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			break
		}
	}
	_ = f.conn.Close()
	<-collected
	if n := len(rig.queue.taken()); n != 0 {
		t.Errorf("%d events from streams that were reset before their body", n)
	}
	rig.mustBeUnharmed()
	eventually(t, "no connection is left", func() bool { return rig.server.Connections() <= 1 })
}

// TestStreamLimit opens more streams at once than one connection may have: the ones beyond are reset, and the ones
// within get their answers.
func TestStreamLimit(t *testing.T) {
	t.Parallel()
	rig := newRig(t, func(_ *Options, s *ServerOptions) { s.ReadTimeout, s.IdleTimeout = 5*time.Second, 5*time.Second })
	f, err := dialFrames(rig, "limit", http2.ClientPreface)
	if err != nil {
		t.Fatal(err)
	}
	defer f.conn.Close() //nolint:errcheck // the test is over
	_ = f.framer.WriteSettings()
	go func() {
		for i := range uint32(http2Streams + 36) {
			f.headers(1+2*i, false, usual()...)
		}
		_ = f.framer.WriteData(1, true, f.body)
		for range f.ended { // nobody else waits for the ends of streams here
			continue
		}
	}()
	_ = f.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	got := f.collect()
	close(f.ended)
	if !strings.HasPrefix(got, "stream 1: 200") {
		t.Errorf("the signed delivery among them: %.200s", got)
	}
	if n := strings.Count(got, ": 408 ["); n != http2Streams-1 {
		t.Errorf("%d streams ran out of time, want %d", n, http2Streams-1)
	}
	if n := strings.Count(got, ": reset "); n != 36 {
		t.Errorf("%d streams were refused, want 36", n)
	}
	rig.mustBeUnharmed()
}
