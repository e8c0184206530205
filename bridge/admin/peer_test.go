package admin_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/admin/admintest"
)

const (
	stranger     = 65533 // a uid that nobody has
	serviceGroup = 65532
)

// TestPeerCredentials runs this test binary as other users against a socket whose mode was opened up by hand, so that
// only the check of the kernel's credentials stands between them and the quarantine. Without root it can't become
// anybody else, and the table of TestAllowed has to do.
func TestPeerCredentials(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		if got := askAs(t, admintest.New(quiet()).Control(t), nil); got != "allowed" {
			t.Errorf("the service's own user: %s", got)
		}
		return
	}
	var log bytes.Buffer
	path := admintest.New(slog.New(slog.NewTextHandler(&log, nil))).ControlOf(t, serviceGroup)
	for name, c := range map[string]struct {
		who  syscall.Credential
		want string
	}{
		"root":             {syscall.Credential{}, "allowed"},
		"service":          {syscall.Credential{Uid: stranger, Gid: serviceGroup}, "allowed"},
		"member":           {syscall.Credential{Uid: stranger, Gid: stranger, Groups: []uint32{7, serviceGroup, 9}}, "allowed"},
		"stranger":         {syscall.Credential{Uid: stranger, Gid: stranger}, "refused"},
		"other groups":     {syscall.Credential{Uid: stranger, Gid: stranger, Groups: []uint32{0, 7}}, "refused"},
		"in group 0 alone": {syscall.Credential{Uid: stranger, Gid: 0}, "refused"},
	} {
		if got := askAs(t, path, &c.who); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if n := strings.Count(log.String(), "event=admin_refused by.uid=65533"); n != 3 {
		t.Errorf("%d refusals are logged, want 3:\n%s", n, log.String())
	}
}

// askAs runs TestPeerChild as who, or as this user.
func askAs(t *testing.T, path string, who *syscall.Credential) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close() //nolint:errcheck // read only
	// The other user may not reach the test binary's folder: it gets the open file.
	cmd := exec.CommandContext(t.Context(), "/proc/self/fd/3", "-test.run=^TestPeerChild$")
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{binary}
	cmd.Env = append(os.Environ(), "PEER_CHILD_SOCKET="+path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("child: %v\n%s", err, out)
	}
	word, _, _ := strings.Cut(string(out), "\n")
	return word
}

// TestPeerChild is the child of askAs and nothing by itself.
func TestPeerChild(t *testing.T) {
	path := os.Getenv("PEER_CHILD_SOCKET")
	if path == "" {
		return
	}
	_, err := admin.NewClient(path, "").Quarantine(t.Context(), 0)
	var refused *admin.RefusedError
	switch {
	case err == nil:
		_, _ = os.Stdout.WriteString("allowed\n")
	case errors.As(err, &refused) && refused.Status == http.StatusForbidden:
		_, _ = os.Stdout.WriteString("refused\n")
	default:
		t.Fatal(err)
	}
}
