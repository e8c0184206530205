package admin

import (
	"time"
	"unicode/utf8"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
)

// userHeader carries what the command line says of who called it ($SUDO_USER). It is a claim, logged beside what the
// kernel says and never judged by.
const userHeader = "Bridge-User"

// Problem is the JSON body of every answer of the control socket that isn't 200.
type Problem struct {
	Error string `json:"error"`
}

// QuarantineList is one page of the quarantine.
type QuarantineList struct {
	Items []QuarantineItem `json:"items"`
	Next  uint64           `json:"next,omitempty"` // ask again with after=Next; 0: this was the last page
}

// QuarantineItem is one event that is kept and not forwarded.
type QuarantineItem struct {
	ID         uint64    `json:"id"`
	Reason     string    `json:"reason"`
	Output     string    `json:"output,omitempty"` // that refused it; left out: it was quarantined on receipt
	At         time.Time `json:"at"`
	Seq        uint64    `json:"bridge_seq,omitempty"`
	Endpoint   string    `json:"endpoint,omitempty"`
	DeliveryID string    `json:"delivery_id,omitempty"`
	SignalID   string    `json:"signal_id,omitempty"`
	SignalType string    `json:"signal_type,omitempty"`
	SecretName string    `json:"secret_name,omitempty"`
	ClientAddr string    `json:"client_addr,omitempty"`
	ReceivedAt time.Time `json:"received_at,omitzero"`
	ResendOf   uint64    `json:"resend_of,omitempty"`

	Damaged string `json:"damaged,omitempty"`     // what is wrong with the stored item: it can only be shown and dropped
	Body    string `json:"body,omitempty"`        // when asked for and valid UTF-8
	BodyRaw []byte `json:"body_base64,omitempty"` // else
	Raw     []byte `json:"damaged_raw,omitempty"` // base64: of a damaged item, the bytes as they were read
	Cut     bool   `json:"body_cut,omitempty"`    // only the first maxShown bytes are here
	Size    int    `json:"body_bytes,omitempty"`  // of the whole body
}

// ResendRequest is the body of a re-send.
type ResendRequest struct {
	Outputs []string `json:"outputs,omitempty"` // empty: those that it was meant for
}

// ResendAnswer says under which bridge_seq the item is queued again.
type ResendAnswer struct {
	ID  uint64 `json:"id"`
	Seq uint64 `json:"bridge_seq"`
}

// maxShown bounds the payload in one answer, in bytes; the receiver's own limit is far lower by default.
const maxShown = 16 << 20

func wireItem(it queue.DeadLetter, withBody bool) QuarantineItem {
	e := it.Event
	w := QuarantineItem{
		ID: it.ID, Reason: it.Reason, Output: it.Output, At: it.At, Seq: e.Seq, Endpoint: e.Endpoint,
		DeliveryID: e.DeliveryID, SecretName: e.SecretName, ClientAddr: e.ClientAddr,
		ReceivedAt: e.ReceivedAt, ResendOf: e.ResendOf, Damaged: it.Damaged, Size: len(e.Body),
	}
	if e.Signal == nil && withBody {
		e.Signal, _ = signal.Decode(e.Body) // what can't be decoded has no signal ID to show
	}
	if e.Signal != nil {
		w.SignalID, w.SignalType = e.Signal.SignalID, e.Signal.SignalType
	}
	if !withBody {
		return w
	}
	body, raw := e.Body, it.Raw
	if len(body)+len(raw) > maxShown {
		body, raw, w.Cut = body[:min(len(body), maxShown/2)], raw[:min(len(raw), maxShown/2)], true
	}
	if w.Raw = raw; utf8.Valid(body) {
		w.Body = string(body)
	} else {
		w.BodyRaw = body
	}
	return w
}

// Trace is what is remembered of one delivery or signal ID.
type Trace struct {
	ID     string       `json:"id"`
	Events []TraceEvent `json:"events"` // oldest first
	// Refused are recent requests that claimed this delivery ID without being verified, oldest first.
	Refused []TraceRefusal `json:"refused,omitempty"`
}

// TraceRefusal is one request that was refused, or that could not be made durable (503).
type TraceRefusal struct {
	At       time.Time `json:"at"`
	Status   int       `json:"status"` // HTTP's
	Reason   string    `json:"reason"`
	Endpoint string    `json:"endpoint,omitempty"`
	Address  string    `json:"address"`
}

// TraceEvent is one event with that ID.
type TraceEvent struct {
	Seq        uint64        `json:"bridge_seq,omitempty"` // 0: quarantined on receipt
	Endpoint   string        `json:"endpoint"`
	DeliveryID string        `json:"delivery_id,omitempty"`
	SignalID   string        `json:"signal_id,omitempty"`
	ReceivedAt time.Time     `json:"received_at"`
	ReceivedBy string        `json:"received_by,omitempty"` // the bridge that took it
	Verdict    string        `json:"verdict"`               // accepted or quarantined
	Reason     string        `json:"reason,omitempty"`
	Duplicates int           `json:"duplicates"` // of it that came since the process started, as far as is remembered
	Outputs    []TraceOutput `json:"outputs,omitempty"`
}

// TraceOutput is what became of it at one output.
type TraceOutput struct {
	Output  string    `json:"output"`
	Outcome string    `json:"outcome"` // queue.Outcome's name
	Level   string    `json:"level,omitempty"`
	At      time.Time `json:"at,omitzero"` // not later than this, in milliseconds: deliveries are remembered by ranges of up to a minute
}

// ReloadAnswer says what came of a reload that is in force.
type ReloadAnswer struct {
	RestartNeeded []string `json:"restart_needed,omitempty"` // keys that stay as they were until a restart
}
