package nginx

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/testcert"
	"github.com/linuxguard/linuxguard-bridge/contrib/contribtest"
)

// wrapper is what Debian's nginx.conf says around conf.d, with every path in one folder.
const wrapper = `daemon off;
master_process off;
pid %[1]s/pid;
error_log stderr warn;
events { worker_connections 768; }
http {
  access_log off;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  include %[1]s/linuxguard-bridge.conf;
}
`

func TestProxy(t *testing.T) {
	t.Parallel()
	program := counterparts.Nginx(t)
	t.Log(program.Version)
	contribtest.CheckProxy(t, func(bridge string) (address string, certs *testcert.Set) {
		// Not t.TempDir: started by root, nginx gives the folder to nobody.
		dir, err := os.MkdirTemp("", "lgnginx")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		program.Serve(t, dir, func(host string) ([]string, []string, error) {
			address, certs = host+":4430", testcert.NewSet(t, dir, host)
			contribtest.WriteFile(t, filepath.Join(dir, "linuxguard-bridge.conf"), contribtest.Fill(t, "linuxguard-bridge.conf",
				"server 127.0.0.1:8080;", "server "+bridge+";", "listen 443 ssl;", "listen "+address+" ssl;",
				"/etc/nginx/tls/hooks.pem", certs.ServerCert, "/etc/nginx/tls/hooks.key", certs.ServerKey))
			conf := filepath.Join(dir, "nginx.conf")
			contribtest.WriteFile(t, conf, fmt.Sprintf(wrapper, dir))
			return []string{"-p", dir, "-c", conf, "-e", "stderr"}, []string{"tcp " + address}, nil
		})
		return address, certs
	})
}
