package caddy

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/testcert"
	"github.com/linuxguard/linuxguard-bridge/contrib/contribtest"
)

// TestProxy runs the example with a certificate of the test's in place of one from Let's Encrypt.
func TestProxy(t *testing.T) {
	t.Parallel()
	program := counterparts.Caddy(t)
	t.Log(program.Version)
	contribtest.CheckProxy(t, func(bridge string) (address string, certs *testcert.Set) {
		dir := t.TempDir()
		program.Env = append(program.Env, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
		program.Serve(t, dir, func(host string) ([]string, []string, error) {
			address, certs = host+":4430", testcert.NewSet(t, dir, host)
			site := contribtest.Fill(t, "Caddyfile", "reverse_proxy 127.0.0.1:8080", "reverse_proxy "+bridge,
				"hooks.example.com {", fmt.Sprintf("https://%s {\n\tbind %s\n\ttls %s %s", address, host, certs.ServerCert, certs.ServerKey))
			conf := filepath.Join(dir, "Caddyfile")
			contribtest.WriteFile(t, conf, "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"+site)
			return []string{"run", "--config", conf, "--adapter", "caddyfile"}, []string{"tcp " + address}, nil
		})
		return address, certs
	})
}
