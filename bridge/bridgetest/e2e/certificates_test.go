package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/throwaway"
)

// TestSharedCertificateIsSaidOnce: an authority that three outputs trust and that ends soon is one warning of check and one finding of
// status, the configuration's and the outputs' word for it counted together.
func TestSharedCertificateIsSaidOnce(t *testing.T) {
	t.Parallel()
	authority, err := throwaway.NewAuthority(time.Now().Add(-throwaway.Validity + 10*24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, authority.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	var outputs strings.Builder
	for i := range 3 {
		fmt.Fprintf(&outputs, "[output.siem%d]\ntype = \"syslog\"\naddresses = [\"tls://127.0.0.1:9\"]\nca_file = %q\n", i, ca)
	}
	b := bridgetest.Start(t, bridgetest.Options{Outputs: outputs.String()})
	const says = "the certificate of \"linuxguard-bridge throw-away authority\" expires on"
	stdout, stderr, code := b.Command(nil, "check", "--config", b.ConfigPath)
	if n := strings.Count(stdout+stderr, says); n != 1 || code != 0 {
		t.Errorf("check warns %d times and ends with %d:\n%s%s", n, code, stdout, stderr)
	}
	if n := strings.Count(b.RawLog(), "throw-away authority"); n != 1 {
		t.Errorf("the log says it %d times:\n%s", n, b.RawLog())
	}
	for range 3 {
		stdout, _, _ = b.Command(nil, "status", "--config", b.ConfigPath)
		if n := strings.Count(stdout, says); n != 1 || !strings.Contains(stdout, "output siem2 at "+ca) {
			t.Errorf("status says it %d times:\n%s", n, stdout)
		}
	}
	if n := strings.Count(b.RawLog(), "throw-away authority"); n != 1 {
		t.Errorf("after status the log says it %d times:\n%s", n, b.RawLog())
	}
}
