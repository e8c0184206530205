package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/coreos/go-systemd/v22/activation"
)

// NamedListener is a listening socket that systemd opened. Name is FileDescriptorName= of the socket unit; by
// default it is the unit's own name.
type NamedListener struct {
	net.Listener
	Name string
}

// Listeners takes over the stream sockets that systemd handed to this process, in the order of the units; several may
// share a name. It takes them once: the variables are unset, and a second call returns none. The descriptors are
// closed on exec. Unix sockets are not removed on Close, systemd owns their paths. On an error nothing stays open.
func Listeners() ([]NamedListener, error) {
	return listeners(activation.Files(true))
}

func listeners(files []*os.File) ([]NamedListener, error) {
	var found []NamedListener
	var failed error
	for _, f := range files {
		l, err := net.FileListener(f)
		_ = f.Close() // FileListener has its own duplicate
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("socket %q from systemd is not a listening stream socket (ListenStream=, Accept=no): %w", f.Name(), err))
			continue
		}
		found = append(found, NamedListener{Listener: l, Name: f.Name()})
	}
	if failed != nil {
		for _, l := range found {
			_ = l.Close()
		}
		return nil, failed
	}
	return found, nil
}
