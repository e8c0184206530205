//go:build packages

package packagetest

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

// loadReport is what the load helper did: the signals that were answered 200, and the words of every other end.
type loadReport struct {
	Signals  []string
	Failures []string
}

const (
	certFile   = "/etc/linuxguard-bridge/tls/cert.pem"
	secretFile = "/etc/linuxguard-bridge/credentials/webhook-secret"
)

// runLoad posts signed webhooks, each over a connection of its own, until standard input ends, and reports in JSON.
func runLoad() int {
	secret, err := os.ReadFile(secretFile)
	roots := x509.NewCertPool()
	if pem, pemErr := os.ReadFile(certFile); pemErr == nil {
		roots.AppendCertsFromPEM(pem)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, stop := context.WithCancel(context.Background())
	var mu sync.Mutex
	var report loadReport
	var posters sync.WaitGroup
	signer := &sender.Signer{Secret: strings.TrimSuffix(string(secret), "\n"), Now: time.Now}
	fmt.Println("started")
	for range 4 {
		posters.Go(func() {
			for ctx.Err() == nil {
				id, err := postOne(signer, roots)
				mu.Lock()
				if err != nil {
					report.Failures = append(report.Failures, err.Error())
				} else {
					report.Signals = append(report.Signals, id)
				}
				mu.Unlock()
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	stop()
	posters.Wait()
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		return 1
	}
	return 0
}

// postOne sends one sample as LinuxGuard would, but never twice: what isn't answered 200 is a failure.
func postOne(signer *sender.Signer, roots *x509.CertPool) (string, error) {
	client, err := sender.NewClient("https://127.0.0.1:443/webhooks/linuxguard", nil, sender.ClientOptions{Roots: roots, HTTP1: true})
	if err != nil {
		return "", err
	}
	defer client.Close()
	sample := sender.Sample(3, time.Now(), nil)
	answer, err := client.Post(context.Background(), signer.Deliver(sample.JSON()), func(r *http.Request) { r.Close = true })
	if err == nil && !answer.OK() {
		err = fmt.Errorf("answered %s", answer)
	}
	return sample.Data.SignalID, err
}

// load runs the helper in the container while during runs, and returns what it reported.
func (c *container) load(t *testing.T, during func()) loadReport {
	t.Helper()
	cmd := c.command(t.Context(), "exec env "+roleVariable+"=load /opt/probe")
	cmd.Stderr = os.Stderr
	stdin, out := pipes(t, cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(out)
	if line, err := reader.ReadString('\n'); err != nil || line != "started\n" {
		t.Fatalf("the load helper says %q: %v", line, err)
	}
	during()
	_ = stdin.Close()
	var report loadReport
	if err := json.NewDecoder(reader).Decode(&report); err != nil {
		t.Fatalf("the load helper's report: %v", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return report
}

func pipes(t *testing.T, cmd *exec.Cmd) (io.WriteCloser, io.Reader) {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	return stdin, stdout
}
