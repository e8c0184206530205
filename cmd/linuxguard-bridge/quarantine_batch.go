package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
)

// itemBatch is a choice of items: by their IDs, or all that a filter wants.
type itemBatch struct {
	filter itemFilter
	all    bool
}

func (b *itemBatch) addFlags(c *cobra.Command) {
	b.filter.addFlags(c)
	c.Flags().BoolVar(&b.all, "all", false, "every item, or every one that --output, --on-receipt and --reason select")
}

// run does something to each chosen item.
func (b *itemBatch) run(ctx context.Context, flags *controlFlags, args []string, do func(context.Context, uint64) (any, string, error)) error {
	ids, err := b.choose(ctx, flags, args)
	if err != nil {
		return err
	}
	return flags.forEach(ctx, ids, do)
}

// forEach does something to each of ids and goes on when one fails; it prints a line an ID as it goes.
func (f *controlFlags) forEach(ctx context.Context, ids []uint64, do func(context.Context, uint64) (any, string, error)) error {
	p := f.globals.printer()
	answers, failed := []any{}, error(nil)
	for _, id := range ids {
		answer, line, err := do(ctx, id)
		if err != nil {
			failed = explained(err)
			_, _ = fmt.Fprintf(f.globals.Stderr, "linuxguard-bridge: %v\n", failed)
			continue
		}
		if answers = append(answers, answer); !f.asJSON {
			p.printf("%s\n", line)
		}
	}
	if f.asJSON {
		p.err = printJSON(f.globals.Stdout, answers)
	}
	if failed != nil {
		return reported(failed)
	}
	return p.err
}

// reported keeps the exit code of an error that was printed.
func reported(err error) error {
	var usage *usageError
	if errors.As(err, &usage) {
		return &usageError{errReported}
	}
	return errReported
}

func (b *itemBatch) choose(ctx context.Context, flags *controlFlags, args []string) ([]uint64, error) {
	if b.all == (len(args) > 0) {
		return nil, &usageError{errors.New("name items by their ID (quarantine list), or say --all")}
	}
	if !b.all {
		if b.filter != (itemFilter{}) {
			return nil, &usageError{errors.New("--output, --on-receipt and --reason go with --all")}
		}
		return parseIDs(args, "quarantine list")
	}
	var ids []uint64
	err := b.filter.each(ctx, flags.client(), func(it admin.QuarantineItem) bool {
		ids = append(ids, it.ID)
		return true
	})
	return ids, err
}

// parseIDs reads what the command list shows as IDs.
func parseIDs(args []string, list string) ([]uint64, error) {
	ids := make([]uint64, 0, len(args))
	for _, text := range args {
		id, err := strconv.ParseUint(text, 10, 64)
		if err != nil || id == 0 {
			return nil, &usageError{fmt.Errorf("%q is not an ID: a number, see %s", text, list)}
		}
		ids = append(ids, id)
	}
	return ids, nil
}
