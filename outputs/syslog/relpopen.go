package syslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
)

// relpOffers is what a peer says of itself when a session opens: NAME=VALUE lines.
type relpOffers struct {
	version  string
	software string
	commands []string
}

// openRELP opens a session on a fresh connection within ctx. Nothing may be sent before its answer.
func (o *Output) openRELP(ctx context.Context, d *dialed) (link, error) {
	reader := newRELPReader(d.conn)
	if _, err := openSession(ctx, d, reader, o.env.Version); err != nil {
		_ = d.meter.Close()
		return nil, at(ctx, d.addr, err)
	}
	return newRELP(d, reader, o), nil
}

func openSession(ctx context.Context, d *dialed, reader *relpReader, version string) (relpOffers, error) {
	stop := context.AfterFunc(ctx, func() { _ = d.meter.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := d.conn.Write(appendRELP(nil, 1, "open", ourOffers(version))); err != nil {
		return relpOffers{}, fmt.Errorf("sending RELP open: %w", err)
	}
	for {
		f, err := reader.next()
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		switch {
		case errors.Is(err, io.EOF):
			return relpOffers{}, errors.New("the peer closed the connection instead of answering RELP open: is it a RELP listener, and with the same TLS setting?")
		case err != nil:
			return relpOffers{}, fmt.Errorf("waiting for the answer to RELP open: %w", err)
		case f.txnr == 0 && string(f.command) == "serverclose":
			return relpOffers{}, errServerClose
		case f.txnr == 0:
			continue
		case f.txnr != 1 || string(f.command) != "rsp":
			return relpOffers{}, fmt.Errorf("%w: %q for transaction %d instead of the answer to open", errRELP, f.command, f.txnr)
		}
		return checkOpen(f.data)
	}
}

// ourOffers is the DATA of open, as librelp writes it: no newline before the first offer. librelp's and every known
// receiver's version is 0, although the specification calls itself version 1.
func ourOffers(version string) []byte {
	clean := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || r == ',' {
			return '_'
		}
		return r
	}, version)
	return []byte("relp_version=0\nrelp_software=linuxguard-bridge," + clean + "\ncommands=syslog")
}

// checkOpen judges the answer to open.
func checkOpen(data []byte) (relpOffers, error) {
	a, err := parseRELPAnswer(data)
	if err != nil {
		return relpOffers{}, err
	}
	if a.code != relpOK {
		return relpOffers{}, fmt.Errorf("the peer refused the RELP session: %d %s", a.code, a.text)
	}
	offers := parseOffers(a.data)
	version, err := strconv.Atoi(offers.version)
	switch {
	case offers.version == "":
		return offers, fmt.Errorf("%w: the peer names no relp_version", errRELP)
	case err != nil || version < 0 || version > 1:
		return offers, fmt.Errorf("%w: the peer speaks relp_version %q, this side 0", errRELP, offers.version)
	case !slices.Contains(offers.commands, "syslog"):
		return offers, fmt.Errorf("%w: the peer does not take the command syslog", errRELP)
	}
	return offers, nil
}

func parseOffers(data []byte) relpOffers {
	var o relpOffers
	for line := range bytes.SplitSeq(data, []byte{'\n'}) {
		name, value, _ := strings.Cut(display.Excerpt(string(line), maxPeerText), "=")
		switch strings.TrimSpace(name) {
		case "relp_version":
			o.version = strings.TrimSpace(value)
		case "relp_software":
			o.software = value
		case "commands":
			o.commands = strings.Split(strings.TrimSpace(value), ",")
		}
	}
	return o
}
