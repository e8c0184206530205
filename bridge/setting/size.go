package setting

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes: in the configuration "64KiB", "2GiB" or a whole number.
type Size int64

// UnmarshalText implements encoding.TextUnmarshaler; whole numbers arrive here as their digits.
func (s *Size) UnmarshalText(text []byte) error {
	n, err := ParseSize(string(text))
	*s = Size(n)
	return err
}

// String writes the size as the configuration does.
func (s Size) String() string { return FormatSize(int64(s)) }

// errSize says what a size looks like.
var errSize = errors.New(`must be a size such as "64KiB" or "2GiB", or a whole number of bytes`)

// sizeUnits are the units of a size, largest first.
func sizeUnits() []sizeUnit {
	return []sizeUnit{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}
}

type sizeUnit struct {
	name  string
	bytes int64
}

// ParseSize reads "64KiB", "2GiB", "512B" or plain bytes. Decimal units (KB, MB) are refused: they mean two things.
func ParseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "BKMGTi")
	unit := sizeUnit{"", 1}
	for _, u := range sizeUnits() {
		if suffix := text[len(digits):]; suffix == u.name {
			unit = u
		}
	}
	if text != digits+unit.name || digits == "" || strings.TrimLeft(digits, "0123456789") != "" {
		return 0, errSize
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > math.MaxInt64/unit.bytes {
		return 0, errors.New("the size is too large")
	}
	return n * unit.bytes, nil
}

// FormatSize writes n bytes in the largest unit that leaves a whole number.
func FormatSize(n int64) string {
	for _, u := range sizeUnits() {
		if n != 0 && n%u.bytes == 0 && u.bytes > 1 {
			return fmt.Sprintf("%d%s", n/u.bytes, u.name)
		}
	}
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}
