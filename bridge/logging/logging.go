package logging

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"
)

// Options is what New needs.
type Options struct {
	Format string              // auto, journal, text or json; "" is auto
	Level  slog.Leveler        // a *slog.LevelVar can be changed while it runs
	Stderr io.Writer           // where text and JSON go, and journal records when the journal doesn't answer
	Getenv func(string) string // for NO_COLOR and TERM

	// UnderJournal says that Stderr goes to the journal: auto then speaks to it natively.
	UnderJournal  bool
	JournalSocket string // path of journald's native socket
}

// New returns the logger that Options asks for. The only error is an unknown format.
func New(o Options) (*slog.Logger, error) {
	format := o.Format
	if format == "" || format == "auto" {
		format = o.automatic()
	}
	switch format {
	case "journal":
		return slog.New(newJournalHandler(o.Level, o.JournalSocket, o.Stderr)), nil
	case "text":
		return slog.New(newTextHandler(o.Level, o.Stderr, UseColour(o.Stderr, o.Getenv))), nil
	case "json":
		return slog.New(newJSONHandler(o.Level, o.Stderr)), nil
	}
	return nil, fmt.Errorf("log.format %q is none of auto, journal, text and json", o.Format)
}

func (o Options) automatic() string {
	switch {
	case o.UnderJournal:
		return "journal"
	case IsTerminal(o.Stderr):
		return "text"
	default:
		return "json"
	}
}

// ParseLevel reads a level of the configuration: debug, info, warn or error.
func ParseLevel(text string) (slog.Level, error) {
	switch text {
	case "debug":
		return slog.LevelDebug, nil
	case "info", "":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("log.level %q is none of debug, info, warn and error", text)
}

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// UseColour reports whether text on w may be coloured: on a terminal that is not "dumb", unless NO_COLOR is set to
// anything (no-color.org).
func UseColour(w io.Writer, getenv func(string) string) bool {
	return getenv("NO_COLOR") == "" && getenv("TERM") != "dumb" && IsTerminal(w)
}
