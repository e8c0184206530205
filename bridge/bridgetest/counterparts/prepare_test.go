package counterparts

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestPrepareShowsThatItIsAtWork on fake time.
func TestPrepareShowsThatItIsAtWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		takes := func(d time.Duration, err error) func(context.Context) (string, error) {
			return func(context.Context) (string, error) { time.Sleep(d); return "1.2", err }
		}
		var said []string
		say := func(line string) { said = append(said, line) }
		steps := []step{{"quick", "fetching", takes(time.Second, nil)}, {"slow", "compiling", takes(75*time.Second, nil)}}
		if err := prepare(t.Context(), steps, 30*time.Second, say); err != nil {
			t.Fatal(err)
		}
		want := []string{"quick: 1.2", "slow: compiling, for 30s so far", "slow: compiling, for 1m0s so far", "slow: 1.2", "all 2 are ready after 1m16s"}
		if !slices.Equal(said, want) {
			t.Errorf("%q", said)
		}
		broken := errors.New("no such package")
		said = nil
		if err := prepare(t.Context(), []step{{"broken", "fetching", takes(time.Second, broken)}, steps[0]}, 30*time.Second, say); !errors.Is(err, broken) || said != nil {
			t.Errorf("%v, %q", err, said)
		}
	})
}
