package systemd

import (
	"fmt"
	"slices"
	"strings"
)

// CredentialsNote is what a reload has to say about secrets that come from $CREDENTIALS_DIRECTORY, or "" when there
// are none: systemd copies them when the service starts, so a reload reads the same bytes again. names are the
// credentials' names.
func CredentialsNote(names []string) string {
	if len(names) == 0 {
		return ""
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(names)))
	return fmt.Sprintf("credentials (%s) are systemd's copies from the last start: a changed one needs a restart, or use \"file:\"", strings.Join(sorted, ", "))
}
