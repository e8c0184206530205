package admin_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/admin/admintest"
)

func TestPage(t *testing.T) {
	t.Parallel()
	b := admintest.New(quiet())
	resp, body := request{path: "/"}.do(t, serve(t, b))
	csp := resp.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'sha256-", "style-src 'sha256-", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("no %s in the policy %s", want, csp)
		}
	}
	if strings.Contains(csp, "unsafe") {
		t.Errorf("policy %s", csp)
	}
	for _, never := range []string{"<script>alert", "\x1b", "\u009b", "\u202e", "not json", "second line", "ZgotmplZ", " style=", "onclick", "http://", "https://s3"} {
		if strings.Contains(body, never) {
			t.Errorf("the page holds %q", never)
		}
	}
	for _, want := range []string{
		"1,234,567", "not ready", "output splunk is blocked until an operator acts", "403: the token is disabled", "34,567", "9m", "overdue",
		"refused: signature", "signed with webhook-secret-old", "47MiB of 2GiB", "<dt>the last</dt><dd>3d</dd>", "<dt>at this rate full after</dt><dd>3d", `lang="en"`, "viewport", "did you mean",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("headers %v", resp.Header)
	}
}

// TestPageOfAnEmptyBridge renders what a bridge shows in its first moment.
func TestPageOfAnEmptyBridge(t *testing.T) {
	t.Parallel()
	b := admintest.New(quiet())
	b.Source.Says = admin.Report{}
	b.Queue.State.Healthy, b.Queue.State.MaxBytes = true, 0
	b.Queue.State.Remembered, b.Queue.State.WindowCovered = 0, 0
	resp, body := request{path: "/"}.do(t, serve(t, b))
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, "no endpoint") || !strings.Contains(body, "no output") {
		t.Errorf("%d\n%s", resp.StatusCode, body)
	}
}
