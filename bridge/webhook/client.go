package webhook

import (
	"net/http"
	"net/netip"
	"strings"
)

// client is who sent a request: the peer, or whom a trusted proxy names.
type client struct {
	addr netip.Addr // unmapped, without zone
	text string
}

// localPeer stands for the peer of a unix socket, which has no address: it counts as 127.0.0.1 in allow and in
// trusted_proxies.
func localPeer() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }

// parsePeer reads net/http's RemoteAddr or a net.Addr's text.
func parsePeer(remote string) client {
	if ap, err := netip.ParseAddrPort(remote); err == nil {
		return newClient(ap.Addr())
	}
	return newClient(localPeer())
}

func newClient(addr netip.Addr) client {
	addr = addr.Unmap().WithZone("")
	return client{addr: addr, text: addr.String()}
}

// group is the unit of per-address limits: an IPv4 address, an IPv6 /64 (what one customer usually holds).
func (c client) group() netip.Addr { return groupOf(c.addr) }

func groupOf(addr netip.Addr) netip.Addr {
	if !addr.Is6() {
		return addr
	}
	return netip.PrefixFrom(addr, 64).Masked().Addr()
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// clientOf returns the request's client. X-Forwarded-For is read from the right, for as long as the address so far is
// a trusted proxy's: everything to the left of the first other address is the client's own claim. An entry that is no
// address ends the walk at the proxy that passed it on.
func clientOf(r *http.Request, peer client, trusted []netip.Prefix) client {
	if len(trusted) == 0 || !contains(trusted, peer.addr) {
		return peer
	}
	addr := peer.addr
	lines := r.Header["X-Forwarded-For"]
	for i := len(lines) - 1; i >= 0; i-- {
		for line, more := lines[i], true; more; {
			var entry string
			line, entry, more = cutLast(line)
			next, ok := parseForwarded(entry)
			if !ok {
				return newClient(addr)
			}
			if addr = next; !contains(trusted, addr) {
				return newClient(addr)
			}
		}
	}
	return newClient(addr)
}

// cutLast cuts the rightmost entry off a comma-separated list; more says whether anything is left of it.
func cutLast(list string) (rest, entry string, more bool) {
	if i := strings.LastIndexByte(list, ','); i >= 0 {
		return list[:i], strings.TrimSpace(list[i+1:]), true
	}
	return "", strings.TrimSpace(list), false
}

// parseForwarded reads one entry: an address, with or without a port, IPv6 with or without brackets.
func parseForwarded(entry string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(entry, "["), "]"))
	if err != nil {
		ap, err := netip.ParseAddrPort(entry)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = ap.Addr()
	}
	return addr.Unmap().WithZone(""), true
}
