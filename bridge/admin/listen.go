package admin

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/linuxguard/linuxguard-bridge/bridge/unixsocket"
)

// ListenControl opens the control socket at path, and makes its folder. Who may connect is what the socket's mode says.
func ListenControl(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := unixsocket.Listen(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return l, nil
}
