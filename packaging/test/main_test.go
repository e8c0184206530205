//go:build packages

package packagetest

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// roleVariable makes the test binary, bound into a container, one of the helpers there.
const roleVariable = "LINUXGUARD_PACKAGE_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "load":
		os.Exit(runLoad())
	case "probe":
		os.Exit(runProbe())
	}
	if err := needs(); err != nil {
		fmt.Fprintln(os.Stderr, "make test-package:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// needs says in one line what this machine lacks.
func needs() error {
	if os.Getuid() != 0 {
		return fmt.Errorf("boots containers and so must run as root")
	}
	for tool, pkg := range map[string]string{
		"mmdebstrap": "mmdebstrap", "systemd-nspawn": "systemd-container", "nsenter": "util-linux", "apt-get": "apt",
		"dpkg-deb": "dpkg", "rpm": "rpm", "lintian": "lintian", "rpmlint": "rpmlint", "tar": "tar",
	} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is missing: apt-get install %s", tool, pkg)
		}
	}
	return nil
}
