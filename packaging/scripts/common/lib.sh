# Common to the maintainer scripts of both packages; packaging/build puts it in place of the line "#LIB#".
unit=linuxguard-bridge.service
socket=linuxguard-bridge.socket
dropin=/usr/lib/systemd/system/linuxguard-bridge.service.d

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

# systemd 253 and later know when a reload is over, by Type=notify-reload; older ones would take the unknown type for
# "simple".
set_reload_type() {
	version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
	if [ "${version:-0}" -ge 253 ]; then
		mkdir -p "$dropin"
		cp /usr/share/linuxguard-bridge/10-notify-reload.conf "$dropin/10-notify-reload.conf"
		chmod 0644 "$dropin/10-notify-reload.conf"
	else
		remove_reload_type
	fi
}

remove_reload_type() {
	rm -f "$dropin/10-notify-reload.conf"
	rmdir "$dropin" 2>/dev/null || true
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

say_what_next() {
	echo "linuxguard-bridge is installed, not started. Put the webhook's secret into /etc/linuxguard-bridge/credentials/webhook-secret,"
	echo "the certificate and its key into /etc/linuxguard-bridge/tls/, say in /etc/linuxguard-bridge/config.toml where signals go, then:"
	echo "    linuxguard-bridge check && systemctl enable --now linuxguard-bridge"
}
