package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
)

// The headers of LinuxGuard's webhook, in net/http's canonical form.
const (
	signatureHeader = "Linuxguard-Signature"
	deliveryHeader  = "Linuxguard-Delivery"
)

const signaturePrefix = "sha256="

type digest = [sha256.Size]byte

// parseSignature decodes the one LinuxGuard-Signature header into mac. Several headers, several values in one, another
// algorithm and anything but 64 hex digits (in either case) are malformed. On false mac is zero.
func parseSignature(header http.Header, mac *digest) bool {
	*mac = digest{}
	values := header[signatureHeader]
	if len(values) != 1 || len(values[0]) != len(signaturePrefix)+hex.EncodedLen(sha256.Size) {
		return false
	}
	if values[0][:len(signaturePrefix)] != signaturePrefix {
		return false
	}
	for i := range mac {
		at := len(signaturePrefix) + 2*i
		high, low := unhex(values[0][at]), unhex(values[0][at+1])
		if high|low > 0x0f {
			*mac = digest{}
			return false
		}
		mac[i] = high<<4 | low
	}
	return true
}

// unhex returns the digit's value, or 0xff.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	default:
		return 0xff
	}
}

// key is one secret, ready for use, with what it has verified. It is shared between goroutines and outlives a reload
// that keeps the secret's name.
type key struct {
	name    string
	matches *atomic.Uint64
	macs    sync.Pool // of hash.Hash, always reset: the key's two padded blocks are hashed once and not every time
}

func newKey(name string, value secret.Value, matches *atomic.Uint64) *key {
	k := &key{name: name, matches: matches}
	clear := []byte(value.Reveal())
	k.macs.New = func() any {
		mac := hmac.New(sha256.New, clear)
		mac.Reset() // saves the padded state, see crypto/hmac
		return mac
	}
	return k
}

// sign writes the HMAC-SHA256 of body into sum.
func (k *key) sign(body []byte, sum *digest) {
	mac, ok := k.macs.Get().(hash.Hash)
	if !ok {
		return // never: the pool holds nothing else
	}
	_, _ = mac.Write(body) // never fails
	mac.Sum(sum[:0])
	mac.Reset()
	k.macs.Put(mac)
}

// verify returns the first key by which claimed is body's signature, or nil. wellFormed false fails too, and takes the
// same path: every key is tried, every comparison is of two 32-byte digests, so that the time that a refusal takes
// tells nothing about why.
func verify(keys []*key, body []byte, claimed, sum *digest, wellFormed bool) *key {
	for _, k := range keys {
		k.sign(body, sum)
		if hmac.Equal(sum[:], claimed[:]) && wellFormed {
			return k
		}
	}
	return nil
}

// requirement is one required header with the digests of its accepted values.
type requirement struct {
	name     string // canonical
	accepted []digest
}

func newRequirements(headers map[string][]secret.Value) []requirement {
	requirements := make([]requirement, 0, len(headers))
	for name, values := range headers {
		r := requirement{name: http.CanonicalHeaderKey(name)}
		for _, v := range values {
			r.accepted = append(r.accepted, sha256.Sum256([]byte(v.Reveal())))
		}
		requirements = append(requirements, r)
	}
	return requirements
}

// fulfilled reports whether every required header is there, once, with an accepted value. Values are compared by their
// digests, so that the comparison is of fixed length, and all are compared whatever the first ones say.
func fulfilled(requirements []requirement, r *http.Request) bool {
	all := true
	for i := range requirements {
		sum := sha256.Sum256([]byte(single(r, requirements[i].name)))
		one := false
		for j := range requirements[i].accepted {
			if hmac.Equal(sum[:], requirements[i].accepted[j][:]) {
				one = true
			}
		}
		all = all && one
	}
	return all
}

// single returns the header's value when there is exactly one, else "" (which no requirement accepts). net/http moves
// Host out of the header.
func single(r *http.Request, name string) string {
	if name == "Host" {
		return r.Host
	}
	if values := r.Header[name]; len(values) == 1 {
		return values[0]
	}
	return ""
}
