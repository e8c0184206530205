package counterparts

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// privateAddress is a loopback address that nothing else uses: all of 127/8 is local on Linux, and two million of
// them make a collision unlikely enough for the retry that follows one.
func privateAddress() string {
	return fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(126), rand.IntN(256), 1+rand.IntN(254))
}

// listening returns the addresses ("udp 127.0.0.1:514") that process pid has bound, read from /proc, so that a port
// counts as ready only when it is this very process that has it.
func listening(pid int) (map[string]bool, error) {
	inodes, err := socketInodes(pid)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, network := range []string{"tcp", "udp"} {
		file, err := os.Open("/proc/" + strconv.Itoa(pid) + "/net/" + network)
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			fields := strings.Fields(lines.Text())
			// sl local rem st tx:rx tr:when retrnsmt uid timeout inode; 0A is LISTEN, 07 an unconnected UDP socket.
			if len(fields) > 9 && (fields[3] == "0A" || fields[3] == "07") && inodes[fields[9]] {
				found[network+" "+parseAddress(fields[1])] = true
			}
		}
		_ = file.Close()
		if err := lines.Err(); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// connections counts the TCP connections of servers at host, those included that nobody has accepted yet.
func connections(host string) (n int, err error) {
	file, err := os.Open("/proc/self/net/tcp")
	if err != nil {
		return 0, err
	}
	defer file.Close() //nolint:errcheck // read only
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || fields[3] == "0A" || fields[3] == "06" { // LISTEN, and TIME-WAIT: all is read
			continue
		}
		if local, _, _ := net.SplitHostPort(parseAddress(fields[1])); local == host {
			n++
		}
	}
	return n, lines.Err()
}

func socketInodes(pid int) (map[string]bool, error) {
	links, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/fd/*")
	if err != nil {
		return nil, err
	}
	inodes := map[string]bool{}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil {
			continue // closed meanwhile
		}
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			inodes[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return inodes, nil
}

// parseAddress reads the kernel's "0100007F:1F90": the address in host byte order (little endian here), the port in hex.
func parseAddress(text string) string {
	address, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(address)
	if err != nil || len(b) != 4 {
		return ""
	}
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return ""
	}
	ip := netip.AddrFrom4([4]byte{b[3], b[2], b[1], b[0]})
	return net.JoinHostPort(ip.String(), strconv.FormatUint(n, 10))
}
