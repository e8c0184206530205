package rfc5424

import (
	"fmt"
	"strconv"
	"strings"
)

// Facility is syslog's, 0 (kern) to 23 (local7).
type Facility uint8

// User is the facility of user-level messages, LinuxGuard's own default.
const User Facility = 1

const maxFacility Facility = 23

// facilityNames lists the names that mean the same everywhere; 12 to 15 differ between implementations.
var facilityNames = [...]string{"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
	"ftp", "", "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}

// ParseFacility reads a number from 0 to 23 or an unambiguous name.
func ParseFacility(s string) (Facility, error) {
	for i, name := range facilityNames {
		if name != "" && strings.EqualFold(s, name) {
			return Facility(i), nil
		}
	}
	if n, err := strconv.ParseUint(s, 10, 8); err == nil && n <= uint64(maxFacility) {
		return Facility(n), nil
	}
	if hint := facilityHint(strings.ToLower(s)); hint != "" {
		return 0, fmt.Errorf("facility %q is not the same everywhere: %s", s, hint)
	}
	return 0, fmt.Errorf("unknown facility %q: use a number from 0 to 23, kern, user, mail, daemon, auth, syslog, lpr, news, uucp, cron, authpriv, ftp or local0 to local7", s)
}

func facilityHint(name string) string {
	switch name {
	case "security":
		return "it is 4 (auth) to rsyslog and 13 (log audit) to syslog-ng; write the number"
	case "ntp":
		return "write 12"
	case "audit", "bsd_security":
		return "write 13"
	case "alert", "console":
		return "write 14"
	case "clock", "solaris-cron":
		return "write 15"
	}
	return ""
}

// String returns the facility's name, or its number where the name is ambiguous.
func (f Facility) String() string {
	if f <= maxFacility && facilityNames[f] != "" {
		return facilityNames[f]
	}
	return strconv.Itoa(int(f))
}
