package postgres

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// envelope is what is stored beside a body. Text from outside is bytes: JSON would replace what is not UTF-8.
type envelope struct {
	ReceivedBy string   `json:"received_by,omitempty"`
	Endpoint   string   `json:"endpoint"`
	DeliveryID []byte   `json:"delivery_id,omitempty"`
	Signature  []byte   `json:"signature,omitempty"`
	SecretName string   `json:"secret_name,omitempty"`
	ClientAddr string   `json:"client_addr,omitempty"`
	Header     []header `json:"header,omitempty"`
	Notes      [][]byte `json:"notes,omitempty"`
	ResendOf   uint64   `json:"resend_of,omitempty"`
	Only       []string `json:"only,omitempty"`
	Synthetic  bool     `json:"synthetic,omitempty"`
}

type header struct {
	Name  []byte `json:"name"`
	Value []byte `json:"value"`
}

func envelopeOf(e *queue.Event) []byte {
	v := envelope{ReceivedBy: e.ReceivedBy, Endpoint: e.Endpoint, DeliveryID: []byte(e.DeliveryID), Signature: []byte(e.Signature),
		SecretName: e.SecretName, ClientAddr: e.ClientAddr, ResendOf: e.ResendOf, Only: e.Only, Synthetic: e.Synthetic}
	for _, h := range e.Header {
		v.Header = append(v.Header, header{[]byte(h.Name), []byte(h.Value)})
	}
	for _, note := range e.Notes {
		v.Notes = append(v.Notes, []byte(note))
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("an envelope that JSON can't hold: %v", err)) // it has strings and numbers only
	}
	return text
}

// eventOf makes an event of what is stored.
func eventOf(seq uint64, receivedAt int64, text, body []byte) (*queue.Event, error) {
	var v envelope
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, fmt.Errorf("event %d: its envelope: %w", seq, err)
	}
	e := &queue.Event{Seq: seq, ReceivedAt: timeOf(receivedAt), ReceivedBy: v.ReceivedBy, Endpoint: v.Endpoint, DeliveryID: string(v.DeliveryID),
		Signature: string(v.Signature), SecretName: v.SecretName, ClientAddr: v.ClientAddr, ResendOf: v.ResendOf, Only: v.Only,
		Synthetic: v.Synthetic, Body: body}
	for _, h := range v.Header {
		e.Header = append(e.Header, queue.Header{Name: string(h.Name), Value: string(h.Value)})
	}
	for _, note := range v.Notes {
		e.Notes = append(e.Notes, string(note))
	}
	e.Decode()
	return e, nil
}

// sizeOf is what an event takes of an allowance: its rows and their share of the indexes, roughly.
func sizeOf(e *queue.Event) int64 {
	size := 512 + len(e.Body) + len(e.Endpoint) + len(e.DeliveryID) + len(e.Signature)
	for _, h := range e.Header {
		size += len(h.Name) + len(h.Value)
	}
	return int64(size)
}

// nanos is a time as it is stored; 0: none.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func timeOf(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}
