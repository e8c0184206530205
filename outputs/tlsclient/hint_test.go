package tlsclient

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
)

// TestWithHint dials real peers that refuse in their ways.
func TestWithHint(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		peer func(net.Conn)
		want string
	}{
		"no TLS": {func(c net.Conn) { _, _ = io.WriteString(c, "220 mail.example.com ESMTP\r\n") }, "that port speaks no TLS"},
		"handshake failure": {func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = c.Write([]byte{21, 3, 3, 0, 2, 2, 40})
		}, "accepts none of this side's TLS versions"},
		"old": {func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = c.Write([]byte{21, 3, 1, 0, 2, 2, 70})
		}, "older than 1.2"},
		"wants a certificate": {func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = c.Write([]byte{21, 3, 3, 0, 2, 2, 42})
		}, "set cert_file and key_file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			go func() {
				conn, err := l.Accept()
				if err == nil {
					c.peer(conn)
					_, _ = io.Copy(io.Discard, conn)
					_ = conn.Close()
				}
			}()
			conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{ServerName: "localhost", MinVersion: tls.VersionTLS12})
			if err == nil {
				_ = conn.Close()
				t.Fatal("connected")
			}
			if got := WithHint(err).Error(); !strings.Contains(got, c.want) {
				t.Errorf("%s, want %q", got, c.want)
			}
		})
	}
	if WithHint(nil) != nil || WithHint(io.EOF).Error() != "EOF" {
		t.Error("a hint where there is none to give")
	}
}
