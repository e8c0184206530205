package tlsclient

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
)

// WithHint adds to the error of a connection what an operator can do about it, where Go's own words don't say: TLS to a port that speaks none, a
// peer that has no cipher or signature in common with this side, or that wants a certificate.
func WithHint(err error) error {
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &record):
		return fmt.Errorf("%w: that port speaks no TLS: name its TLS port, or the address without TLS", err)
	case !errors.As(err, &op) || op.Op != "remote error":
		return err
	case strings.Contains(op.Err.Error(), "handshake failure"):
		return fmt.Errorf("%w: the peer accepts none of this side's TLS versions, ciphers and signatures: TLS 1.2 with ECDHE or TLS 1.3 is needed, and a "+
			"certificate in cert_file whose kind of key (ECDSA, RSA) the peer knows", err)
	case strings.Contains(op.Err.Error(), "protocol version"):
		return fmt.Errorf("%w: the peer's TLS is older than 1.2", err)
	case strings.Contains(op.Err.Error(), "certificate required"), strings.Contains(op.Err.Error(), "bad certificate"):
		return fmt.Errorf("%w: the peer wants a certificate of a CA that it knows: set cert_file and key_file", err)
	}
	return err
}
