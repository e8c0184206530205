// Command fetch gets every counterpart of the tests ready in .cache/counterparts and prints their versions, so that a
// missing one is said in one line before any test runs.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	lines, err := counterparts.Prepare(ctx)
	if err != nil {
		fmt.Fprintf(os.Stderr, "counterparts: %v\n", err)
		return 1
	}
	for _, line := range lines {
		fmt.Println("counterpart", line)
	}
	return 0
}
