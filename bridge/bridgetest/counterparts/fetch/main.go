// Command fetch gets every counterpart of the tests ready in .cache/counterparts and prints their versions, so that a
// missing one is said in one line before any test runs. It prints a line at least every half minute.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := counterparts.Prepare(ctx, 30*time.Second, func(line string) { fmt.Println("counterparts:", line) }); err != nil {
		fmt.Fprintf(os.Stderr, "counterparts: %v\n", err)
		return 1
	}
	return 0
}
