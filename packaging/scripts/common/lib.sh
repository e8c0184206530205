# Common to the maintainer scripts of both packages; packaging/build puts it in place of the line "#LIB#".
unit=linuxguard-bridge.service
socket=linuxguard-bridge.socket

systemd_runs() { [ -d /run/systemd/system ]; }

make_user() {
	if command -v systemd-sysusers >/dev/null; then
		systemd-sysusers linuxguard-bridge.conf
	elif ! getent passwd linuxguard-bridge >/dev/null; then
		useradd --system --user-group --home-dir /var/lib/linuxguard-bridge --no-create-home \
			--shell /usr/sbin/nologin linuxguard-bridge
	fi
}

make_folders() {
	if command -v systemd-tmpfiles >/dev/null; then
		systemd-tmpfiles --create linuxguard-bridge.conf
	fi
}

reload_manager() {
	if systemd_runs; then systemctl daemon-reload || true; fi
}

# A service that isn't running stays so. With the socket unit no connection is refused meanwhile.
restart_running() {
	if systemd_runs; then systemctl try-restart "$unit" || true; fi
}

stop_for_good() {
	if systemd_runs; then
		systemctl --no-reload disable --now "$socket" "$unit" || true
	elif command -v systemctl >/dev/null; then
		systemctl --no-reload disable "$socket" "$unit" || true
	fi
}

# in_use: somebody has enabled or started it. A removal ends both.
in_use() {
	command -v systemctl >/dev/null || return 1
	systemctl --quiet is-enabled "$unit" "$socket" 2>/dev/null || { systemd_runs && systemctl --quiet is-active "$unit" "$socket"; }
}

say_what_next() {
	if in_use; then return 0; fi
	echo "linuxguard-bridge is installed, not started. Put the webhook's secret into /etc/linuxguard-bridge/credentials/webhook-secret,"
	echo "the certificate and its key into /etc/linuxguard-bridge/tls/, say in /etc/linuxguard-bridge/config.toml where signals go, then:"
	echo "    linuxguard-bridge check && systemctl enable --now linuxguard-bridge"
}
