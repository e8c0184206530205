//go:build !docs

// Command linuxguard-bridge receives LinuxGuard's signed webhooks and forwards them as syslog and Splunk events.
package main

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

func main() { os.Exit(run()) }

// run exists so that deferred calls happen before the process ends.
func run() int {
	hangups := make(chan os.Signal, 1)
	if slices.Contains(os.Args[1:], "run") { // first of all: until then a SIGHUP ends the daemon, and systemd takes that for a stop in good order
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	g := &globals{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Now: time.Now, Host: thisHost(), Hangups: hangups}
	return execute(ctx, g, os.Args[1:])
}
