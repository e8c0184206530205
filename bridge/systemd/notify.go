package systemd

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
)

// maxStatus bounds STATUS= in bytes: systemctl shows one line, and the manager's receive buffer is 4 KiB.
const maxStatus = 1024

// Notifier sends the service's state to the service manager. Without $NOTIFY_SOCKET every method does nothing and
// returns nil. It is safe for concurrent use. An error means that the manager was not told; the service goes on.
type Notifier struct {
	send func(state string) error
}

// NewNotifier returns a Notifier for the process's own $NOTIFY_SOCKET.
func NewNotifier() *Notifier {
	return &Notifier{send: func(state string) error {
		if _, err := daemon.SdNotify(false, state); err != nil {
			return fmt.Errorf("notify systemd: %w", err)
		}
		return nil
	}}
}

// Ready says that start-up, or a reload, is done. status is the line that systemctl shows.
func (n *Notifier) Ready(status string) error {
	return n.send(daemon.SdNotifyReady + "\n" + statusField(status))
}

// Status replaces the line that `systemctl status` shows.
func (n *Notifier) Status(text string) error { return n.send(statusField(text)) }

// Reloading says that a reload begins; Ready must follow, also when the reload fails. Call it after SIGHUP was
// received: the manager compares MONOTONIC_USEC with the moment at which it sent the signal.
func (n *Notifier) Reloading(status string) error {
	return n.send(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec() + statusField(status))
}

// Stopping says that the service has begun to stop. There is no way back.
func (n *Notifier) Stopping(status string) error {
	return n.send(daemon.SdNotifyStopping + "\n" + statusField(status))
}

// ExtendTimeout asks for d more from now before the manager loses patience with a start or stop.
func (n *Notifier) ExtendTimeout(d time.Duration) error {
	return n.send(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", d.Microseconds()))
}

// watchdog is the keep-alive ping; Watchdog.Run sends it.
func (n *Notifier) watchdog() error { return n.send(daemon.SdNotifyWatchdog) }

// Extend calls ExtendTimeout(step) at once and then at every half step until ctx ends or more says that there is
// nothing left to wait for. The caller bounds the whole drain by ctx.
func (n *Notifier) Extend(ctx context.Context, step time.Duration, more func() bool) error {
	tick := time.NewTicker(step / 2)
	defer tick.Stop()
	for more() {
		if err := n.ExtendTimeout(step); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	return nil
}

// Live sends line's text as STATUS= at every interval when it changed, until ctx ends. Errors are dropped: the next
// change tries again, and the line is a courtesy.
func (n *Notifier) Live(ctx context.Context, every time.Duration, line func() string) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if text := line(); text != last && n.Status(text) == nil {
			last = text
		}
	}
}

// statusField makes one field of any text: a newline in it would be another assignment.
func statusField(text string) string { return "STATUS=" + display.Excerpt(text, maxStatus) }
