// Package packagetest installs the real .deb and .rpm into real systems and lives through what an operator does to
// them. `make test-package` runs it, as root:
//
//	CGO_ENABLED=0 go test -tags packages ./packaging/test
//
// The systems are Debian 12 (systemd 252) and Debian 13 (systemd 257), made by mmdebstrap from the mirror that this
// machine's apt uses, kept in .cache/package-test, and booted by systemd-nspawn:
//
//	this machine                      │ container: own mount, pid, network, uts and ipc namespaces, own cgroup,
//	                                  │ changes in memory only (--volatile=overlay)
//	test ── nsenter ──────────────────┼─▶ apt-get install /packages/...deb, systemctl, linuxguard-bridge
//	test binary, bound to /opt/probe ─┼─▶ load: posts signed webhooks from inside
//	                                  │   probe: tries what the unit's sandbox forbids, as that unit only
//	                                  │   rsyslog: the SIEM
//
// Nothing is installed, mounted or started on this machine itself; a container ends with its test, within its time.
package packagetest
