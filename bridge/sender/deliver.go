package sender

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// The headers of a delivery, as LinuxGuard sends them.
const (
	SignatureHeader = "LinuxGuard-Signature"
	EventHeader     = "LinuxGuard-Event"
	DeliveryHeader  = "LinuxGuard-Delivery"
	TimestampHeader = "LinuxGuard-Timestamp"

	EventType = "signal_created"
	UserAgent = "LinuxGuard-Webhook/1.0"
)

// Delivery is one webhook, ready to be posted any number of times. Nothing in it is secret.
type Delivery struct {
	Body      []byte
	ID        string // LinuxGuard-Delivery, a UUID; empty: the header is left out
	Signature string // LinuxGuard-Signature; empty: the header is left out
	SentAt    time.Time
}

// Signer makes deliveries. Its fields are set once; its methods may be called from any goroutine.
type Signer struct {
	Secret string           // the endpoint's secret in clear
	Now    func() time.Time // stamps LinuxGuard-Timestamp
	Random io.Reader        // of delivery IDs; nil: crypto/rand
}

// Deliver signs body under a fresh delivery ID.
func (s *Signer) Deliver(body []byte) Delivery {
	return Delivery{Body: body, ID: newUUID(s.Random), Signature: Sign(s.Secret, body), SentAt: s.Now()}
}

// Sign is the value of LinuxGuard-Signature: HMAC-SHA256 over the raw body, keyed with the secret's UTF-8 bytes.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// Forge replaces the signature by one of the right form that no secret has made.
func (d Delivery) Forge() Delivery {
	d.Signature = Sign("not the endpoint's secret", d.Body)
	return d
}

// SetHeaders puts the delivery's headers into h. LinuxGuard-Timestamp is the time of sending, in Unix seconds.
func (d Delivery) SetHeaders(h http.Header) {
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", UserAgent)
	h.Set(EventHeader, EventType)
	h.Set(TimestampHeader, strconv.FormatInt(d.SentAt.Unix(), 10))
	if d.ID != "" {
		h.Set(DeliveryHeader, d.ID)
	}
	if d.Signature != "" {
		h.Set(SignatureHeader, d.Signature)
	}
}

// newUUID is a random UUID, from random or, when that is nil, crypto/rand.
func newUUID(random io.Reader) string {
	if random == nil {
		random = rand.Reader
	}
	return uuid.Must(uuid.NewRandomFromReader(random)).String()
}
