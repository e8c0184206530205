package counterparts

import (
	"context"
	"fmt"
	"time"
)

// step gets one counterpart ready and returns its version.
type step struct {
	name  string
	doing string
	run   func(context.Context) (version string, err error)
}

// Prepare fetches and builds every counterpart and says one line on each when it is ready, with its version. While one
// takes longer it says at each interval which one that is: compiling OpenTelemetry's receiver takes a busy machine over ten
// minutes.
func Prepare(ctx context.Context, interval time.Duration, say func(line string)) error {
	return prepare(ctx, steps(), interval, say)
}

func steps() []step {
	var all []step
	for _, d := range programs() {
		all = append(all, step{d.name, "fetching Debian's packages", func(ctx context.Context) (string, error) {
			tree, err := d.fetch(ctx)
			return tree.versions, err
		}})
	}
	for _, n := range []nested{hecReceiver(), pebble()} {
		all = append(all, step{n.name, "compiling " + n.module + ", which takes minutes the first time", func(ctx context.Context) (string, error) {
			b, err := n.build(ctx)
			return n.module + " " + b.version, err
		}})
	}
	return all
}

func prepare(ctx context.Context, all []step, interval time.Duration, say func(line string)) error {
	began := time.Now()
	for _, s := range all {
		version, err := s.watched(ctx, interval, say)
		if err != nil {
			return err
		}
		say(s.name + ": " + version)
	}
	say(fmt.Sprintf("all %d are ready after %v", len(all), time.Since(began).Round(time.Second)))
	return nil
}

// watched runs s, and says that it does at each interval until it ends.
func (s step) watched(ctx context.Context, interval time.Duration, say func(line string)) (version string, err error) {
	began := time.Now()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		version, err = s.run(ctx)
	}()
	for {
		select {
		case <-ended:
			return version, err
		case <-tick.C:
			say(fmt.Sprintf("%s: %s, for %v so far", s.name, s.doing, time.Since(began).Round(time.Second)))
		}
	}
}
