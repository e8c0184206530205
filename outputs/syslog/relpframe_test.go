package syslog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// show makes a frame comparable.
func show(f relpFrame) string { return fmt.Sprintf("%d|%s|%s", f.txnr, f.command, f.data) }

// readAll reads frames until an error, which it returns too.
func readAll(src io.Reader) (frames []string, err error) {
	r := newRELPReader(src)
	for {
		f, err := r.next()
		if err != nil {
			return frames, err
		}
		frames = append(frames, show(f))
	}
}

// The server's side of the specification's transcripts, and of librelp where it differs.
const serverTranscript = "1 rsp 93 200 OK\nrelp_version=0\nrelp_software=librelp,1.2.13,http://librelp.adiscon.com\ncommands=syslog\n" +
	"2 rsp 6 200 OK\n" +
	"4 rsp 6 200 OK\n3 rsp 15 500 not for you\n" + // out of order
	"5 rsp 13 200 OK\na\nb c\n\n" + // newlines and spaces inside DATA
	"0 serverclose 0\n" +
	"999999999 rsp 0\n" + // librelp's answer to close
	"6 rsp 0 \n" + // gorelp's
	"0007 rsp 3 200\n"

var serverFrames = []string{
	"1|rsp|200 OK\nrelp_version=0\nrelp_software=librelp,1.2.13,http://librelp.adiscon.com\ncommands=syslog",
	"2|rsp|200 OK", "4|rsp|200 OK", "3|rsp|500 not for you", "5|rsp|200 OK\na\nb c\n", "0|serverclose|", "999999999|rsp|", "6|rsp|", "7|rsp|200",
}

func TestRELPFramesSplitAtEveryByte(t *testing.T) {
	t.Parallel()
	want := strings.Join(serverFrames, "\n--\n")
	check := func(name string, src io.Reader) {
		t.Helper()
		frames, err := readAll(src)
		if got := strings.Join(frames, "\n--\n"); got != want || !errors.Is(err, io.EOF) {
			t.Fatalf("%s: %v\n%s", name, err, got)
		}
	}
	check("all at once", strings.NewReader(serverTranscript))
	check("byte by byte", iotest.OneByteReader(strings.NewReader(serverTranscript)))
	check("error with the last bytes", iotest.DataErrReader(strings.NewReader(serverTranscript)))
	for i := range serverTranscript {
		check(fmt.Sprint("split at ", i), io.MultiReader(strings.NewReader(serverTranscript[:i]), strings.NewReader(serverTranscript[i:])))
	}
}

func TestRELPFramesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		" rsp 0\n", "x rsp 0\n", "-1 rsp 0\n", "1234567890 rsp 0\n", "1\trsp 0\n", "1  rsp 0\n", "1 rsp\n", "1 r2p 0\n", "1 rsp -1\n",
		"1 rsp 1234567890 x\n", "1 rsp 131073 x", "1 rsp 6 200 OKx", "1 rsp 6\n200 OK\n", "1 rsp 0 x", "1 rsp x\n", "\n", "HTTP/1.1 400 Bad Request\r\n",
		"1 " + strings.Repeat("a", 33) + " 0\n", "1 " + strings.Repeat("a", 40), "\x15\x03\x03\x00\x02\x02\x46",
	} {
		if frames, err := readAll(strings.NewReader(text)); !errors.Is(err, errRELPFrame) {
			t.Errorf("%q: %v, %v", text, frames, err)
		}
	}
	// What may still become a frame is waited for.
	for _, text := range []string{"", "1", "123456789", "1 ", "1 r", "1 rsp", "1 rsp ", "1 rsp 6", "1 rsp 6 200 OK", "1 " + strings.Repeat("a", 32)} {
		if frames, err := readAll(strings.NewReader(text)); !errors.Is(err, io.EOF) || frames != nil {
			t.Errorf("%q: %v, %v", text, frames, err)
		}
	}
}

func TestRELPLargestAnswer(t *testing.T) {
	t.Parallel()
	data := strings.Repeat("x", maxRELPAnswer)
	frames, err := readAll(iotest.HalfReader(strings.NewReader(fmt.Sprintf("1 rsp %d %s\n2 rsp 0\n", len(data), data))))
	if len(frames) != 2 || frames[0] != "1|rsp|"+data || !errors.Is(err, io.EOF) {
		t.Errorf("%d frames, %v", len(frames), err)
	}
}

func TestRELPAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		data string
		code int
		text string
		rest string
		ok   bool
	}{
		{"200 OK", 200, "", "", true}, {"200", 200, "", "", true}, {"200 OK\na=b\nc=d", 200, "", "a=b\nc=d", true},
		{"500 no\x1b[31m\nx", 500, `no\x1b[31m`, "x", true}, {"500", 500, "", "", true}, {"200\nx", 200, "", "x", true},
		{"", 0, "", "", false}, {"20", 0, "", "", false}, {"2000 OK", 0, "", "", false}, {"ok", 0, "", "", false},
	} {
		a, err := parseRELPAnswer([]byte(c.data))
		if (err == nil) != c.ok || a.code != c.code || a.text != c.text || string(a.data) != c.rest {
			t.Errorf("%q: %+v, %v", c.data, a, err)
		}
	}
}

// FuzzRELPReader feeds arbitrary bytes whole and one by one: both must give the same frames, and every frame, written
// again, must be read again.
func FuzzRELPReader(f *testing.F) {
	f.Add([]byte(serverTranscript))
	f.Add([]byte("1 rsp 131072 x\n"))
	f.Add([]byte("1 rsp 0 \n1 rsp 0\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		whole, errWhole := readAll(bytes.NewReader(data))
		single, errSingle := readAll(iotest.OneByteReader(bytes.NewReader(data)))
		if strings.Join(whole, "\x00") != strings.Join(single, "\x00") || errors.Is(errWhole, io.EOF) != errors.Is(errSingle, io.EOF) {
			t.Fatalf("whole: %q, %v\nsingle: %q, %v", whole, errWhole, single, errSingle)
		}
		r := newRELPReader(bytes.NewReader(data))
		for {
			frame, err := r.next()
			if err != nil {
				return
			}
			want := show(frame)
			again, err := newRELPReader(bytes.NewReader(appendRELP(nil, frame.txnr, string(frame.command), frame.data))).next()
			if err != nil || show(again) != want {
				t.Fatalf("%q came back as %q, %v", want, show(again), err)
			}
			_, _ = parseRELPAnswer(frame.data)
			parseOffers(frame.data)
		}
	})
}
