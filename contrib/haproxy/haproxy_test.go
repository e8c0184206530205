package haproxy

import (
	"path/filepath"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/testcert"
	"github.com/linuxguard/linuxguard-bridge/contrib/contribtest"
)

func TestProxy(t *testing.T) {
	t.Parallel()
	program := counterparts.HAProxy(t)
	t.Log(program.Version)
	contribtest.CheckProxy(t, func(bridge string) (address string, certs *testcert.Set) {
		dir := t.TempDir()
		program.Serve(t, dir, func(host string) ([]string, []string, error) {
			address, certs = host+":4430", testcert.NewSet(t, dir, host)
			pem := filepath.Join(dir, "hooks.pem")
			contribtest.WriteFile(t, pem, contribtest.ReadFile(t, certs.ServerCert)+contribtest.ReadFile(t, certs.ServerKey))
			conf := filepath.Join(dir, "haproxy.cfg")
			contribtest.WriteFile(t, conf, contribtest.Fill(t, "haproxy.cfg",
				"server bridge 127.0.0.1:8080", "server bridge "+bridge, "bind 0.0.0.0:443", "bind "+address, "/etc/haproxy/tls/hooks.pem", pem))
			return []string{"-db", "-f", conf}, []string{"tcp " + address}, nil
		})
		return address, certs
	})
}
