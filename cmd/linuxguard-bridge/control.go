package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/display"
	"github.com/linuxguard/linuxguard-bridge/bridge/logging"
)

// controlFlags are what every command has that asks a running bridge.
type controlFlags struct {
	globals *globals
	socket  string
	asJSON  bool
}

func addControlFlags(c *cobra.Command, g *globals) *controlFlags {
	f := &controlFlags{globals: g}
	c.Flags().StringVar(&f.socket, "socket", "", "control `socket` of the running bridge (default: admin.socket of the configuration)")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
	return f
}

func (f *controlFlags) client() *admin.Client {
	socket := f.socket
	if socket == "" {
		socket = config.ControlSocket(f.globals.ConfigPath, f.globals.Getenv)
	}
	return admin.NewClient(socket, display.Line(f.globals.caller()))
}

// caller is who calls by the environment's word: behind sudo and with PrivateUsers=yes in the unit the kernel's word
// alone would not name a person.
func (g *globals) caller() string {
	for _, name := range []string{"SUDO_USER", "LOGNAME", "USER"} {
		if user := g.Getenv(name); user != "" {
			return user
		}
	}
	return ""
}

// explained gives a refused request its exit code: what the caller got wrong is 2, all else 1.
func explained(err error) error {
	var refused *admin.RefusedError
	if errors.As(err, &refused) && refused.Status == http.StatusBadRequest {
		return &usageError{errors.New(display.Line(refused.Text))}
	}
	if err != nil {
		return cleanError{err}
	}
	return nil
}

// cleanError shows an error that holds words of the other side without its terminal escapes.
type cleanError struct{ error }

func (e cleanError) Error() string { return display.Line(e.error.Error()) }
func (e cleanError) Unwrap() error { return e.error }

// printJSON writes v indented.
func printJSON(w io.Writer, v any) error {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, escaped(string(body))+"\n")
	return err
}

// escaped escapes the characters of JSON that a terminal obeys or hides, which JSON allows but Go's encoder does for the first
// 32 only; they can only stand inside of strings.
func escaped(rest string) string {
	var b strings.Builder
	for rest != "" {
		r, size := utf8.DecodeRuneInString(rest)
		rest = rest[size:]
		switch {
		case r < utf8.RuneSelf && r != 0x7f, unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// printer writes for people. The first write that fails ends the output and is kept.
type printer struct {
	w      io.Writer
	colour bool
	err    error
}

func (g *globals) printer() *printer {
	return &printer{w: g.Stdout, colour: logging.UseColour(g.Stdout, g.Getenv)}
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// SGR parameters of ECMA-48.
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (p *printer) paint(sgr, text string) string {
	if !p.colour || sgr == "" || text == "" {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

// cell is one field of a table.
type cell struct {
	text  string
	sgr   string
	right bool // aligned right: a number
}

func textCell(text string) cell { return cell{text: display.Line(text)} }

func numberCell[N int | uint64](n N) cell { return cell{text: display.Number(n), right: true} }

// alarming is a count that should be zero.
func alarming[N int | uint64](n N, sgr string) cell {
	c := numberCell(n)
	if n > 0 {
		c.sgr = sgr
	}
	return c
}

// table prints rows under a head, each column as wide as its widest cell; a last column is never padded.
func (p *printer) table(head []string, rows [][]cell) {
	first := make([]cell, len(head))
	widths := make([]int, len(head))
	for i, name := range head {
		first[i] = cell{text: name, sgr: bold}
		if len(rows) > 0 {
			first[i].right = rows[0][i].right
		}
	}
	all := append([][]cell{first}, rows...)
	for _, row := range all {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	for _, row := range all {
		var line strings.Builder
		for i, c := range row {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text))
			switch text := p.paint(c.sgr, c.text); {
			case c.right:
				line.WriteString(gap + text)
			case i == len(row)-1:
				line.WriteString(text)
			default:
				line.WriteString(text + gap)
			}
			if i < len(row)-1 {
				line.WriteString("  ")
			}
		}
		p.printf("%s\n", strings.TrimRight(line.String(), " "))
	}
}

// preciseStamp is a time in milliseconds (RFC 3339).
func preciseStamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// orDash keeps an empty field of a table visible.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
