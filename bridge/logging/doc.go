// Package logging makes the slog handlers of the bridge: native journal records, lines for a terminal, or JSON.
package logging
