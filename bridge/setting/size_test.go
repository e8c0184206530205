package setting_test

import (
	"math"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/setting"
)

func TestParseSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "7": 7, "7B": 7, "64KiB": 64 << 10, "1MiB": 1 << 20, "2GiB": 2 << 30, "3TiB": 3 << 40,
		"9223372036854775807": math.MaxInt64, "8388607TiB": 8388607 << 40,
	} {
		if got, err := setting.ParseSize(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "KiB", "1KB", "1K", "1M", "1 KiB", "-1", "+1", "1.5GiB", "1e3", "0x10", "1KiBB", "1kib", "１", "1_000",
		"9223372036854775808", "8388608TiB", "9007199254740992KiB",
	} {
		if got, err := setting.ParseSize(text); err == nil {
			t.Errorf("%q: got %d", text, got)
		}
	}
}

func TestFormatSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 bytes", 1: "1 byte", 1023: "1023 bytes", 1024: "1KiB", 1025: "1025 bytes", 3 << 20: "3MiB", 1 << 50: "1024TiB",
	} {
		if got := setting.FormatSize(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
		if back, err := setting.ParseSize(strings.TrimRight(setting.FormatSize(n), " bytes")); err != nil || back != n {
			t.Errorf("%d: comes back as %d, %v", n, back, err)
		}
	}
}

func TestSizeAsText(t *testing.T) {
	t.Parallel()
	var s setting.Size
	if err := s.UnmarshalText([]byte("64KiB")); err != nil || s != 64<<10 || s.String() != "64KiB" {
		t.Errorf("got %d, %v", s, err)
	}
	if err := s.UnmarshalText([]byte("64 KB")); err == nil {
		t.Error("64 KB is taken")
	}
}
