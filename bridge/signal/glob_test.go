package signal

import "testing"

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"sudo_*", "sudo_command_executed", true}, {"sudo_*", "xsudo_", false}, {"*", "", true}, {"", "", true}, {"", "a", false},
		{"prod?", "prod1", true}, {"prod?", "prod", false}, {"*a*b", "xxaxxbxxab", true}, {"*a*b", "xxaxxc", false}, {"a**", "a", true},
		{"p?d", "pod", true}, {"p?d", "pd", false}, {"*a*b*c", "xxaxxbxxc", true}, {"*a*b*c", "xxaxxcxxb", false},
	} {
		if got := glob(c.pattern, c.text); got != c.want {
			t.Errorf("glob(%q, %q) = %v", c.pattern, c.text, got)
		}
	}
}
