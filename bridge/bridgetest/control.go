package bridgetest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
)

const controlTimeout = 30 * time.Second // it takes milliseconds

// TryStatus asks the control socket for the daemon's status.
func (b *Bridge) TryStatus(ctx context.Context) (admin.Status, error) {
	var status admin.Status
	return status, b.control(ctx, "/v1/status", &status)
}

// Status is TryStatus, or a failed test.
func (b *Bridge) Status() admin.Status {
	b.t.Helper()
	status, err := b.TryStatus(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return status
}

// Trace asks the control socket what became of a delivery or signal ID.
func (b *Bridge) Trace(id string) admin.Trace {
	b.t.Helper()
	var trace admin.Trace
	if err := b.control(b.t.Context(), "/v1/trace?id="+url.QueryEscape(id), &trace); err != nil {
		b.t.Fatal(err)
	}
	return trace
}

// Quarantine asks the control socket for the first page of the quarantine.
func (b *Bridge) Quarantine() []admin.QuarantineItem {
	b.t.Helper()
	var list admin.QuarantineList
	if err := b.control(b.t.Context(), "/v1/quarantine", &list); err != nil {
		b.t.Fatal(err)
	}
	return list.Items
}

// Audit asks the control socket for every output's account.
func (b *Bridge) Audit() admin.Audit { return b.AuditRange(0, 0) }

// AuditRange is the account of a range of sequences; 0 leaves an end open.
func (b *Bridge) AuditRange(first, last uint64) admin.Audit {
	b.t.Helper()
	var audit admin.Audit
	if err := b.control(b.t.Context(), fmt.Sprintf("/v1/audit?first=%d&last=%d", first, last), &audit); err != nil {
		b.t.Fatal(err)
	}
	return audit
}

// control asks without the product's own client, so that the two can't share a mistake.
func (b *Bridge) control(ctx context.Context, path string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", b.Socket)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://control"+path, nil)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("ask the control socket for %s: %w", path, err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the control socket answers %s to %s", resp.Status, path)
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

// Metrics is what the admin listener serves at /metrics.
func (b *Bridge) Metrics() string {
	b.t.Helper()
	address := ""
	for _, line := range b.Log() {
		if line["msg"] == "admin listening" {
			address, _ = line["address"].(string)
		}
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		b.t.Fatalf("the log names no admin listener: %v", err)
	}
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		b.t.Fatalf("/metrics: %s, %v", resp.Status, err)
	}
	return string(text)
}
