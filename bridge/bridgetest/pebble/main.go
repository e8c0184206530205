// Command pebble is Let's Encrypt's test CA (letsencrypt/pebble) for the bridge's tests, on ports that the system
// picks: the original wants its ports in a file and does not say which it got. Every name resolves to 127.0.0.1.
//
// It stands in a module of its own, so that the bridge depends on none of it. When it accepts, it prints one line of
// JSON (see ready) on standard output, and it ends when standard input does.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// ready is the line that is printed.
type ready struct {
	Directory string // URL of the ACME directory
	CA        string // PEM of the certificate of that URL
	Root      string // PEM of the root of all certificates issued
}

func main() {
	httpPort := flag.Int("http-port", 80, "where HTTP-01 is validated")
	tlsPort := flag.Int("tls-port", 443, "where TLS-ALPN-01 is validated")
	validity := flag.Uint64("validity", 0, "seconds that certificates are valid for; 0: pebble's default")
	flag.Parse()
	if err := run(*httpPort, *tlsPort, *validity); err != nil {
		fmt.Fprintln(os.Stderr, "pebble:", err)
		os.Exit(1)
	}
}

func run(httpPort, tlsPort int, validity uint64) error {
	resolver, err := startDNS()
	if err != nil {
		return fmt.Errorf("DNS: %w", err)
	}
	logger := log.New(os.Stderr, "", log.LstdFlags)
	store := db.NewMemoryStore()
	authority := ca.New(logger, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "tests", ValidityPeriod: validity}})
	validation := va.New(logger, httpPort, tlsPort, true, resolver, store)
	front := wfe.New(logger, store, validation, authority, []string{"pebble.test"}, true, false, 1, 1)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	certificate, certificatePEM, err := selfSigned()
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: front.Handler(), ReadHeaderTimeout: 5 * time.Second, ErrorLog: logger,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	}
	err = json.NewEncoder(os.Stdout).Encode(ready{
		Directory: "https://" + listener.Addr().String() + wfe.DirectoryPath,
		CA:        string(certificatePEM),
		Root:      string(authority.GetRootCert(0).PEM()),
	})
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// startDNS answers every question for an IPv4 address with 127.0.0.1, and others with nothing. Pebble asks over TCP.
func startDNS() (address string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg).SetReply(question)
		for _, q := range question.Question {
			if q.Qtype == dns.TypeA {
				header := dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}
				answer.Answer = append(answer.Answer, &dns.A{Hdr: header, A: net.IPv4(127, 0, 0, 1)})
			}
		}
		_ = w.WriteMsg(answer)
	})
	server := &dns.Server{Listener: listener, Handler: handler}
	go func() { _ = server.ActivateAndServe() }()
	return listener.Addr().String(), nil
}

// selfSigned makes the certificate of the ACME API itself.
func selfSigned() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pebble"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, encoded, nil
}
