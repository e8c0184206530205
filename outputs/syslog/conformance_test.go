package syslog

import (
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/port"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/testcert"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
)

// harnessOf points outputs of table at a receiver.
func harnessOf(table string, h outputtest.Harness) outputtest.Harness {
	var mu sync.Mutex
	var log *outputtest.Log
	h.New = func(t *testing.T, valid func() bool) outputs.Output {
		env, l := outputtest.Env(t, nil)
		env.Valid = valid
		mu.Lock()
		log = l
		mu.Unlock()
		o, _, err := outputtest.Build(Kind(), env, table)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	h.Logs = func() string {
		mu.Lock()
		defer mu.Unlock()
		return log.String()
	}
	return h
}

func asUint(seqs []int) (all []uint64) {
	for _, n := range seqs {
		all = append(all, uint64(n))
	}
	return all
}

func TestConformanceTCP(t *testing.T) {
	t.Parallel()
	outputtest.Run(t, func(t *testing.T) outputtest.Harness {
		s := outputtest.NewTCP(t)
		return harnessOf(fmt.Sprintf("addresses = [\"tcp://%s\"]", s.Addr), outputtest.Harness{
			Received: func() (all []uint64) {
				for _, data := range s.Data() {
					all = append(all, asUint(sequences(string(data)))...)
				}
				return all
			},
			Connections: s.Connections, Break: s.Stop, Mend: s.Start,
		})
	})
}

func TestConformanceRELP(t *testing.T) {
	t.Parallel()
	outputtest.Run(t, func(t *testing.T) outputtest.Harness {
		var mu sync.Mutex
		refused, stalled, mute := func(uint64) bool { return false }, false, false
		var taken []int
		p := listenRELP(t, func(s *relpSession, c relpCommand) {
			mu.Lock()
			defer mu.Unlock()
			seq := sequence(c.data)
			switch {
			case c.name == "syslog" && mute:
				s.rsp(c.txnr, "hello")
			case c.name == "syslog" && refused(uint64(seq)):
				s.rsp(c.txnr, "500 no")
			case c.name == "syslog" && stalled:
			default:
				if c.name == "syslog" {
					taken = append(taken, seq)
				}
				s.accept(c)
			}
		})
		return harnessOf(p.table(), outputtest.Harness{
			Received: func() []uint64 {
				mu.Lock()
				defer mu.Unlock()
				return asUint(taken)
			},
			Connections: func() int {
				p.mu.Lock()
				defer p.mu.Unlock()
				return p.sessions
			},
			Stall:  func() { mu.Lock(); stalled = true; mu.Unlock() },
			Refuse: func(which func(uint64) bool) { mu.Lock(); refused = which; mu.Unlock() },

			SayNothing: func(on bool) { mu.Lock(); mute = on; mu.Unlock() },
		})
	})
}

func TestConformanceDatagrams(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"udp", "unixgram"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			outputtest.Run(t, func(t *testing.T) outputtest.Harness {
				at, scheme := "127.0.0.1:0", "udp"
				if network == "unixgram" {
					at, scheme = filepath.Join(t.TempDir(), "log"), "unix"
				}
				conn, err := net.ListenPacket(network, at)
				if err != nil {
					t.Fatal(err)
				}
				var mu sync.Mutex
				var got []uint64
				var reading sync.WaitGroup
				reading.Go(func() {
					buf := make([]byte, 64<<10)
					for {
						n, _, err := conn.ReadFrom(buf)
						if err != nil {
							return
						}
						mu.Lock()
						got = append(got, uint64(sequence(string(buf[:n]))))
						mu.Unlock()
					}
				})
				t.Cleanup(func() { _ = conn.Close(); reading.Wait() })
				return harnessOf(fmt.Sprintf("addresses = [%q]", scheme+"://"+conn.LocalAddr().String()), outputtest.Harness{
					Received: func() []uint64 {
						mu.Lock()
						defer mu.Unlock()
						return slices.Clone(got)
					},
				})
			})
		})
	}
}

// restartable is a stream server that comes back at its address.
type restartable struct {
	t       *testing.T
	network string
	at      string
	wrap    func(net.Conn) net.Conn
	now     *peer

	mu    sync.Mutex
	sinks []*sink // one a connection
}

func (r *restartable) start() {
	r.t.Helper()
	l, err := net.Listen(r.network, r.at)
	if err != nil {
		r.t.Fatal(err)
	}
	r.now = &peer{Listener: l}
	r.now.serve(func(c net.Conn) {
		got := &sink{}
		r.mu.Lock()
		r.sinks = append(r.sinks, got)
		r.mu.Unlock()
		got.drain(r.wrap(c))
	})
}

func (r *restartable) stop() { r.now.stop() }

func (r *restartable) received() (all []uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sinks {
		all = append(all, asUint(sequences(s.text()))...)
	}
	return all
}

func (r *restartable) connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sinks)
}

func TestConformanceTLS(t *testing.T) {
	t.Parallel()
	set := testcert.NewSet(t, t.TempDir())
	pair, err := set.Server.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: set.Authority.Pool(),
		MinVersion: tls.VersionTLS12}
	outputtest.Run(t, func(t *testing.T) outputtest.Harness {
		r := &restartable{t: t, network: "tcp", at: port.HoldTCP(t), wrap: func(c net.Conn) net.Conn { return tls.Server(c, config) }}
		r.start()
		t.Cleanup(r.stop)
		table := fmt.Sprintf("addresses = [\"tls://%s\"]\nca_file = %q\ncert_file = %q\nkey_file = %q", r.at, set.CAFile, set.ClientCert, set.ClientKey)
		return harnessOf(table, outputtest.Harness{Received: r.received, Connections: r.connections, Break: r.stop, Mend: r.start})
	})
}

func TestConformanceUnixStream(t *testing.T) {
	t.Parallel()
	outputtest.Run(t, func(t *testing.T) outputtest.Harness {
		r := &restartable{t: t, network: "unix", at: filepath.Join(t.TempDir(), "log"), wrap: func(c net.Conn) net.Conn { return c }}
		r.start()
		t.Cleanup(r.stop)
		table := fmt.Sprintf("addresses = [\"unix://%s\"]\nframing = \"octet-counted\"", r.at)
		return harnessOf(table, outputtest.Harness{Received: r.received, Connections: r.connections, Break: r.stop, Mend: r.start})
	})
}
