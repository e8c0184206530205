package tlsclient

import (
	"crypto/sha1" //nolint:gosec // RFC 5425 section 4.2.2 makes SHA-1 fingerprints mandatory to support
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// fingerprints are hashes of DER certificates.
type fingerprints [][]byte

// errNoPeerCertificate cannot happen with the cipher suites of TLS 1.2 and later; it guards the index below.
var errNoPeerCertificate = errors.New("the peer showed no certificate")

// parseFingerprints reads the spellings in use: RFC 5425's "sha-1:E1:2D:...", rsyslog's "SHA1:E1:2D:..." and both for
// SHA-256.
func parseFingerprints(texts []string) (fingerprints, error) {
	var prints fingerprints
	for _, text := range texts {
		label, digits, _ := strings.Cut(text, ":")
		var size int
		switch strings.ReplaceAll(strings.ToLower(strings.TrimSpace(label)), "-", "") {
		case "sha256":
			size = sha256.Size
		case "sha1":
			size = sha1.Size
		default:
			return nil, fmt.Errorf(`%q: a fingerprint begins with "sha-256:" (or, weak, "sha-1:")`, text)
		}
		sum, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(digits), ":", ""))
		if err != nil || len(sum) != size {
			return nil, fmt.Errorf("%q: %d pairs of hexadecimal digits are expected after the label", text, size)
		}
		prints = append(prints, sum)
	}
	return prints, nil
}

// verify is a tls.Config's VerifyConnection: it runs for every handshake, after the chain was checked (if it is).
func (f fingerprints) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errNoPeerCertificate
	}
	der := state.PeerCertificates[0].Raw
	long, short := sha256.Sum256(der), sha1.Sum(der) //nolint:gosec // see the import
	for _, want := range f {
		if subtle.ConstantTimeCompare(want, long[:]) == 1 || subtle.ConstantTimeCompare(want, short[:]) == 1 {
			return nil
		}
	}
	return fmt.Errorf("the peer's certificate is none of peer_fingerprints: it is %s", Fingerprint(der))
}

// Fingerprint returns the SHA-256 fingerprint of a DER certificate in RFC 5425's spelling.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	var b strings.Builder
	b.WriteString("sha-256")
	for _, octet := range sum {
		fmt.Fprintf(&b, ":%02X", octet)
	}
	return b.String()
}
