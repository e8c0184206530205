package logging

import (
	"io"
	"log/slog"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
)

// newJSONHandler writes one JSON object a line. JSON escapes C0 controls by itself; display.Line adds what a terminal would
// obey all the same when somebody looks at the file (C1 controls, bidirectional controls).
func newJSONHandler(level slog.Leveler, w io.Writer) slog.Handler {
	return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Value.Kind() {
		case slog.KindString:
			a.Value = slog.StringValue(bounded(display.Line(a.Value.String())))
		case slog.KindDuration:
			a.Value = slog.StringValue(a.Value.Duration().String())
		case slog.KindAny:
			if _, isLevel := a.Value.Any().(slog.Level); !isLevel {
				a.Value = slog.StringValue(bounded(display.Line(textOf(a.Value))))
			}
		}
		return a
	}})
}
