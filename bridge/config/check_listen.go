package config

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/linuxguard/linuxguard-bridge/bridge/permission"
)

// maxSocketPath is what fits into sockaddr_un's sun_path with its closing NUL (unix(7)).
const maxSocketPath = 107

// systemdSockets in place of an address stands for the sockets that systemd hands over.
const systemdSockets = "systemd"

// listenUse is one address that the daemon will listen on.
type listenUse struct {
	at   keyPath
	addr address
}

// address is one address to listen on, taken apart.
type address struct {
	network string // "tcp", "unix" or "systemd"
	path    string // unix
	ip      netip.Addr
	port    uint16
}

// loopback reports whether only this host can reach the address.
func (a address) loopback() bool {
	return a.network == "unix" || a.network == "tcp" && a.ip.IsLoopback()
}

// clashes reports whether both can't be listened on at the same time.
func (a address) clashes(b address) bool {
	if a.network != b.network {
		return false
	}
	if a.network == "unix" {
		return a.path == b.path
	}
	// On Linux [::] takes IPv4 as well, so a wildcard of either family clashes with every address of that port.
	return a.port != 0 && a.port == b.port && (a.ip == b.ip || a.ip.IsUnspecified() || b.ip.IsUnspecified())
}

// parseListen reads "host:port" with an IP address, localhost or nothing as host, "unix:/path" or "systemd".
func parseListen(text string) (address, error) {
	if text == systemdSockets {
		return address{network: systemdSockets}, nil
	}
	if socket, ok := strings.CutPrefix(text, "unix:"); ok {
		return address{network: "unix", path: socket}, checkSocketPath(socket)
	}
	host, portText, err := net.SplitHostPort(text)
	if err != nil {
		return address{}, fmt.Errorf(`must be "address:port", not %q`, text)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return address{}, fmt.Errorf("the port must be a number from 0 to 65535, not %q", portText)
	}
	ip, err := parseHost(host)
	return address{network: "tcp", ip: ip, port: uint16(port)}, err
}

func parseHost(host string) (netip.Addr, error) {
	switch host {
	case "":
		return netip.IPv6Unspecified(), nil
	case "localhost":
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return ip, fmt.Errorf("the host must be an IP address of this machine, not %q", host)
	}
	return ip.Unmap(), nil
}

func checkSocketPath(socket string) error {
	switch {
	case !filepath.IsAbs(socket):
		return fmt.Errorf("the path of a socket must begin with a slash, not %q", socket)
	case len(socket) > maxSocketPath:
		return fmt.Errorf("the path of a socket has at most %d bytes", maxSocketPath)
	}
	return nil
}

// listen reads one address and reports it when it is wrong or clashes with an earlier one.
func (l *loader) listen(at keyPath, text string) (address, bool) {
	addr, err := parseListen(text)
	if err != nil {
		l.errorf(at, `for instance "0.0.0.0:8443", "[::]:8443" or "unix:/run/name.sock"`, "%s", err)
		return addr, false
	}
	if addr.network == "unix" {
		l.canWrite(at, addr.path, permission.Listen)
	}
	for _, other := range l.listens {
		if addr.clashes(other.addr) {
			l.errorf(at, "", "%q clashes with %s", text, other.at)
		}
	}
	l.listens = append(l.listens, listenUse{at, addr})
	return addr, true
}

// prefixes reads a list of CIDRs; a plain address stands for itself.
func (l *loader) prefixes(at keyPath, texts []string) []netip.Prefix {
	var prefixes []netip.Prefix
	for i, text := range texts {
		prefix, ok := parsePrefix(text)
		if !ok {
			l.errorf(at.index(i), `for instance "10.0.0.0/8" or "2001:db8::/32"`, "must be a CIDR, not %q", text)
			continue
		}
		if prefix != prefix.Masked() {
			l.warnf(at.index(i), "", "%s has bits set beyond its length and is taken as %s", prefix, prefix.Masked())
		}
		if slices.Contains(prefixes, prefix.Masked()) {
			l.warnf(at.index(i), "", "%s is there twice", prefix.Masked())
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes
}

// parsePrefix reads a CIDR or an address. IPv4 in IPv6 form becomes IPv4, as addresses of connections do.
func parsePrefix(text string) (netip.Prefix, bool) {
	if ip, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()), ip.Zone() == ""
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil || !prefix.Addr().Is4In6() {
		return prefix, err == nil
	}
	const mapped = 96 // ::ffff:0:0/96 holds the IPv4 addresses
	return netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-mapped), prefix.Bits() >= mapped
}
