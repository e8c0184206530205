package bridge

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/systemd"
)

// statusInterval is how often the line that systemctl shows is renewed, when it changed.
const statusInterval = 5 * time.Second

// Run tells the service manager that the bridge is ready and then reloads whenever reload delivers a signal, until ctx
// ends (a stop was asked for) or a listener fails. Stop must follow.
func (b *Bridge) Run(ctx context.Context, reload <-chan os.Signal) error {
	life, end := context.WithCancel(ctx)
	defer end()
	defer close(b.ran)
	if err := b.startWatchdog(life); err != nil {
		return err
	}
	for _, a := range b.server.Addrs() {
		b.opts.Log.Info("listening", "address", a.String())
	}
	if err := b.opts.Notifier.Ready(b.statusLine()); err != nil {
		b.opts.Log.Warn("the service manager was not told that the bridge is ready", "error", err)
	}
	b.opts.Log.Info("ready", "event", "ready", "version", b.opts.Loader.Version, "bridge_id", b.queue.Status().BridgeID)
	b.running.Go(func() { b.opts.Notifier.Live(life, statusInterval, b.statusLine) })
	for {
		select {
		case <-ctx.Done():
			b.sayStopping()
			return nil
		case err := <-b.server.Failed():
			b.sayStopping()
			return fmt.Errorf("a listener failed: %w", err)
		case <-reload:
			b.signalledReload(ctx)
		case answer := <-b.reloads:
			answer <- b.Reload(ctx)
		}
	}
}

func (b *Bridge) sayStopping() {
	_ = b.opts.Notifier.Stopping("stopping: " + b.statusLine()) // nobody is there to hear that nobody hears
	b.opts.Log.Info("stopping", "event", "stopping")
}

// signalledReload is a reload with its words to the service manager; READY=1 follows also when it fails, because the
// protocol knows no failed reload.
func (b *Bridge) signalledReload(ctx context.Context) {
	if err := b.opts.Notifier.Reloading("reloading"); err != nil {
		b.opts.Log.Warn("the service manager was not told of the reload", "error", err)
	}
	_ = b.Reload(ctx) // it has logged why, and the status says so
	if err := b.opts.Notifier.Ready(b.statusLine()); err != nil {
		b.opts.Log.Warn("the service manager was not told that the reload is over", "error", err)
	}
}

// AskReload has the loop of Run reload, and says what came of it: whoever asks by a signal never learns that.
func (b *Bridge) AskReload(ctx context.Context) (restartNeeded []string, err error) {
	answer := make(chan error, 1)
	select {
	case b.reloads <- answer:
	case <-b.ran:
		return nil, errStopping
	case <-ctx.Done():
		return nil, fmt.Errorf("another reload is under way: %w", ctx.Err())
	}
	if err := <-answer; err != nil {
		return nil, err
	}
	return b.snapshot().restartNeeded, nil
}

// startWatchdog pings the service manager while the parts that matter go on.
func (b *Bridge) startWatchdog(ctx context.Context) error {
	interval, err := systemd.WatchdogInterval()
	if err != nil {
		return fmt.Errorf("reading WATCHDOG_USEC: %w", err)
	}
	if interval == 0 {
		return nil
	}
	dog := systemd.NewWatchdog(b.opts.Notifier, interval, b.opts.Log)
	dog.SetChecks([]systemd.Check{
		{Name: "queue", Run: b.checkQueue},
		{Name: "outputs", Run: b.checkOutputs},
		{Name: "receiver", Run: b.checkReceiver},
	})
	b.running.Go(func() { dog.Run(ctx) })
	return nil
}

func (b *Bridge) checkOutputs(context.Context) error {
	if names := b.outputs.stuck(); len(names) > 0 {
		return fmt.Errorf("no progress: %v", names)
	}
	return nil
}
