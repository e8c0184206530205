package systemd

import "testing"

func TestCredentialsNote(t *testing.T) {
	t.Parallel()
	if got := CredentialsNote(nil); got != "" {
		t.Errorf("a note without credentials: %q", got)
	}
	want := `credentials (hec, webhook) are systemd's copies from the last start: a changed one needs a restart, or use "file:"`
	if got := CredentialsNote([]string{"webhook", "hec", "webhook"}); got != want {
		t.Errorf("%q", got)
	}
}
