package syslog

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/testcert"
)

// cpu is the process's CPU time so far, in microseconds.
func cpu() float64 {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e3
}

// BenchmarkDeliver sends to a receiver in this process that reads and, for RELP, answers; its CPU time is in the
// figure. An operation is one record, confirmed.
func BenchmarkDeliver(b *testing.B) {
	for _, transport := range []string{"udp", "unixgram", "unix", "tcp", "tls", "relp", "relps"} {
		b.Run(transport, func(b *testing.B) {
			o := start(b, benchPeer(b, transport))
			batching := o.Batching()
			batch := records(1, min(batching.MaxRecords, 512))
			var wg sync.WaitGroup
			room := make(chan struct{}, max(1, batching.MaxInFlight/len(batch)))
			b.ReportAllocs()
			b.ResetTimer()
			begin := cpu()
			for sent := 0; sent < b.N; sent += len(batch) {
				room <- struct{}{}
				wg.Add(1)
				o.Send(b.Context(), batch[:min(len(batch), b.N-sent)], func(err error) {
					if err != nil {
						b.Error(err)
					}
					<-room
					wg.Done()
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric((cpu()-begin)/float64(b.N), "cpu-us/record")
		})
	}
}

// benchPeer starts the receiver and returns the output's table.
func benchPeer(b *testing.B, transport string) string {
	b.Helper()
	dir := b.TempDir()
	set := testcert.NewSet(b, dir)
	at, network := "127.0.0.1:0", "tcp"
	switch transport {
	case "udp", "unixgram":
		network = transport
		if transport == "unixgram" {
			at = filepath.Join(dir, "log")
		}
		conn, err := net.ListenPacket(network, at)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		go func() {
			buf := make([]byte, 64<<10)
			for {
				if _, _, err := conn.ReadFrom(buf); err != nil {
					return
				}
			}
		}()
		scheme := map[string]string{"udp": "udp", "unixgram": "unix"}[transport]
		return fmt.Sprintf("addresses = [%q]", scheme+"://"+conn.LocalAddr().String())
	case "unix":
		network = "unix"
	}
	secure := transport == "tls" || transport == "relps"
	pair, err := tls.LoadX509KeyPair(set.ServerCert, set.ServerKey)
	if err != nil {
		b.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, ClientCAs: x509.NewCertPool()}
	p := listen(b, network, func(c net.Conn) {
		if secure {
			c = tls.Server(c, config)
		}
		if transport == "relp" || transport == "relps" {
			answerAll(c)
			return
		}
		_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 256<<10))
	})
	table := fmt.Sprintf("addresses = [%q]", transport+"://"+p.Addr().String())
	if secure {
		table += fmt.Sprintf("\nca_file = %q", set.CAFile)
	}
	return table
}

// answerAll is a lean RELP receiver: it answers what one read brought in one write.
func answerAll(c net.Conn) {
	r := newRELPReader(c)
	var out []byte
	for {
		f, err := r.next()
		if err != nil {
			return
		}
		data := "200 OK"
		if string(f.command) == "open" {
			data = okOpen
		}
		out = appendRELP(out, f.txnr, "rsp", []byte(data))
		if _, n, err := parseRELP(r.buf[r.r:r.w]); n > 0 && err == nil && len(out) < 4<<10 {
			continue
		}
		if _, err := c.Write(out); err != nil {
			return
		}
		out = out[:0]
	}
}
