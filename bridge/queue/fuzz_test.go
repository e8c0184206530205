package queue

import (
	"bytes"
	"os"
	"testing"
	"time"
)

// FuzzEvent parses any bytes as a stored event, and stores again what it understood.
func FuzzEvent(f *testing.F) {
	e := Event{
		ReceivedAt: time.Unix(1, 2), Endpoint: "e", DeliveryID: "d", Signature: "s", SecretName: "n", ClientAddr: "c",
		Header: []Header{{"a", "b"}}, Only: []string{"o"}, ResendOf: 3, Synthetic: true, Body: []byte("{}"),
	}
	f.Add(appendEvent(nil, &e))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var first, second Event
		p := parser{rest: b}
		if parseEvent(&p, &first) != nil {
			return
		}
		p = parser{rest: appendEvent(nil, &first)}
		if err := parseEvent(&p, &second); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Body, second.Body) || first.DeliveryID != second.DeliveryID || !first.ReceivedAt.Equal(second.ReceivedAt) ||
			len(first.Header) != len(second.Header) || first.ResendOf != second.ResendOf {
			t.Errorf("%+v\n%+v", first, second)
		}
	})
}

// FuzzPage parses any bytes as a page of the database: nothing may panic, and what comes out lies within.
func FuzzPage(f *testing.F) {
	page := make([]byte, os.Getpagesize())
	page[0], page[8], page[10] = 3, flagLeaf, 1
	page[16+4], page[16+8], page[16+12] = 16, 1, 2
	f.Add(page, false)
	f.Fuzz(func(t *testing.T, b []byte, inline bool) {
		list, _, err := elements(b, 3, inline, nil)
		if err != nil {
			return
		}
		for _, e := range list {
			if len(e.key) == 0 || len(e.key)+len(e.value) > len(b) || (e.bucket && len(e.value) < 16) {
				t.Errorf("%+v", e)
			}
		}
	})
}
