//go:build !docs

// Command linuxguard-bridge receives LinuxGuard's signed webhooks and forwards them as syslog and Splunk events.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() { os.Exit(run()) }

// run exists so that deferred calls happen before the process ends.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	g := &globals{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Now: time.Now}
	return execute(ctx, g, os.Args[1:])
}
