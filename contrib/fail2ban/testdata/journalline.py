"""Print the line that fail2ban's systemd backend makes of each journal entry (a JSON object a line on standard input),
by fail2ban's own code. Reading a journal needs python3-systemd; formatting an entry doesn't, so that is left out."""
import datetime
import json
import sys
import types

systemd = types.ModuleType("systemd")
systemd.journal = types.ModuleType("systemd.journal")
systemd.journal.__version__ = "235"
sys.modules.update({"systemd": systemd, "systemd.journal": systemd.journal})

from fail2ban.server.filtersystemd import FilterSystemd  # noqa: E402

backend = FilterSystemd.__new__(FilterSystemd)
backend.jail = None
backend.getLogEncoding = lambda: "utf-8"
for line in sys.stdin:
    entry = json.loads(line)
    entry["_SOURCE_REALTIME_TIMESTAMP"] = datetime.datetime.now().replace(microsecond=0)
    (before, date, after), _ = backend.formatJournalEntry(entry)
    print(before + date.replace("T", " ") + after)
