package admintest

import (
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
)

// Hostile is what an attacker who may name things would write: terminal escapes, HTML and a bidirectional override.
const Hostile = "\x1b[31m<script>alert(1)</script>\u202e\u009b2J"

// Sample is a bridge in trouble of every kind that the views know.
func Sample() (admin.Report, *Queue) {
	now := Now()
	return admin.Report{
		Version: "1.2.3", Host: "bridge-1", PID: 4242, StartedAt: now.Add(-76 * time.Hour),
		Warnings: []string{"output.archive: the file is on a nearly full disk"},
		Config: admin.ConfigReport{
			Path: "/etc/linuxguard-bridge/config.toml", Hash: "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
			LoadedAt: now.Add(-26 * time.Hour), LastReload: now.Add(-5 * time.Minute),
			LastReloadError: "line 12: unknown key \"adresses\", did you mean \"addresses\"?", RestartNeeded: []string{"queue.directory"},
		},
		Receiver: admin.ReceiverReport{
			Listeners: []string{"0.0.0.0:8443"}, Connections: 12,
			Endpoints: []admin.EndpointReport{
				{
					Name: "linuxguard", Path: "/webhooks/linuxguard", LastVerified: now.Add(-2 * time.Second),
					Accepted: 1234567, Duplicate: 89, Quarantined: 2, Unavailable: 3,
					Refused:          map[string]uint64{"signature": 17, "too large": 1, "method": 0},
					SignatureMatches: map[string]uint64{"webhook-secret": 1200000, "webhook-secret-old": 34567},
				},
				{Name: "staging", Path: "/webhooks/staging", ExpectEvery: time.Hour, Overdue: true, LastVerified: now.Add(-3 * time.Hour)},
			},
		},
		Outputs:      sampleOutputs(now),
		Certificates: []admin.CertificateReport{{Name: "server", NotAfter: now.Add(20 * 24 * time.Hour)}},
	}, sampleQueue(now)
}

func sampleOutputs(now time.Time) []admin.OutputReport {
	return []admin.OutputReport{
		{Name: "archive", Kind: "file", State: "up", Level: "stored", Peer: "/var/log/linuxguard-bridge/signals.ndjson", Delivered: 1234560, LastDelivered: now.Add(-2 * time.Second)},
		{
			Name: "siem", Kind: "syslog", State: "down", Level: "kernel-acknowledged", Peer: "tls://siem.example.com:6514",
			InFlight: 4, Delivered: 1234000, Retried: 31, Filtered: 500, Dropped: 7, LastDelivered: now.Add(-9 * time.Minute),
			Failing: true, FailingSince: now.Add(-9 * time.Minute), FirstError: "dial tcp: lookup siem.example.com: no such host",
			LastError: "dial tcp 192.0.2.7:6514: connection refused " + Hostile, LastErrorAt: now.Add(-4 * time.Second),
			Warnings: []string{"the peer's certificate ends in 6 days"},
		},
		{
			Name: "splunk", Kind: "splunk_hec", State: "up", Level: "application-acknowledged", Peer: "https://splunk-1.example.com:8088",
			Failing: true, FailingSince: now.Add(-time.Hour), FirstError: "403: the token is disabled", Blocked: true, BlockedReason: "403: the token is disabled", Delivered: 1200000, Quarantined: 2, LastDelivered: now.Add(-time.Hour),
			LastError: "403: the token is disabled", LastErrorAt: now.Add(-10 * time.Second),
		},
	}
}

func sampleQueue(now time.Time) *Queue {
	return &Queue{
		State: queue.Status{
			BridgeID: "b-1", Healthy: true, FirstSeq: 1200001, LastSeq: 1234567, Events: 34567,
			Bytes: 47 << 20, MaxBytes: 2 << 30, DiskBytes: 64 << 20, QuarantineBytes: 1536, QuarantineMaxBytes: 256 << 20,
			Remembered: 99321, Capacity: 100000, WindowCovered: 72 * time.Hour,
			Outputs: []queue.OutputStatus{
				{Name: "archive", Cursor: 1234567},
				{Name: "siem", Cursor: 1234500, Queued: 67, Oldest: now.Add(-9 * time.Minute), Dropped: 7},
				{Name: "splunk", Cursor: 1200000, Queued: 34567, Oldest: now.Add(-time.Hour)},
			},
		},
		Items: sampleItems(now),
		Lost: []queue.Loss{
			{ID: 3, At: now.Add(-26 * time.Hour), What: "segment 12 is damaged", First: 1233501, Last: 1233502, Records: 2},
		},
		Noted: map[string][]queue.OutcomeRange{
			"archive": {{First: 1000001, Last: 1234567, Outcome: queue.Delivered, Level: "stored", At: now.Add(-2 * time.Second)}},
			"siem": {
				{First: 1000001, Last: 1233000, Outcome: queue.Delivered, Level: "kernel-acknowledged", At: now.Add(-time.Hour)},
				{First: 1233001, Last: 1233500, Outcome: queue.Filtered, At: now.Add(-50 * time.Minute)},
				{First: 1233501, Last: 1233502, Outcome: queue.Lost, At: now.Add(-26 * time.Hour)},
				{First: 1233503, Last: 1234493, Outcome: queue.Delivered, Level: "kernel-acknowledged", At: now.Add(-9 * time.Minute)},
				{First: 1234494, Last: 1234500, Outcome: queue.Dropped, At: now.Add(-9 * time.Minute)},
			},
			"splunk": {
				{First: 1000001, Last: 1199998, Outcome: queue.Delivered, Level: "application-acknowledged", At: now.Add(-time.Hour)},
				{First: 1199999, Last: 1200000, Outcome: queue.Refused, At: now.Add(-time.Hour)},
			},
		},
		Seen: []queue.Seen{
			{
				Seq: 1233100, Endpoint: "linuxguard", DeliveryID: "d-17", SignalID: "sig-9", ReceivedAt: now.Add(-55 * time.Minute),
				ReceivedBy: "bridge-1", Verdict: queue.Accepted, Duplicates: 2,
			},
			{Endpoint: "linuxguard", DeliveryID: "d-18", SignalID: "sig-9", ReceivedAt: now.Add(-54 * time.Minute), ReceivedBy: "bridge-1", Verdict: queue.Quarantined, Reason: "stale"},
		},
	}
}

func sampleItems(now time.Time) []queue.DeadLetter {
	return []queue.DeadLetter{
		{
			ID: 17, Reason: signal.ReasonNotJSON, At: now.Add(-30 * time.Hour),
			Event: queue.Event{
				Endpoint: "linuxguard", DeliveryID: "d-" + Hostile, SecretName: "webhook-secret", ClientAddr: "192.0.2.1",
				ReceivedAt: now.Add(-30 * time.Hour), Body: []byte("not json " + Hostile + "\nsecond line"),
			},
		},
		{
			ID: 18, Reason: "400: invalid data format", Output: "splunk", At: now.Add(-time.Hour),
			Event: queue.Event{
				Seq: 1199999, Endpoint: "linuxguard", DeliveryID: "d-5", SecretName: "webhook-secret", ClientAddr: "192.0.2.1",
				ReceivedAt: now.Add(-time.Hour), Body: []byte(`{"event_type":"signal_created"}`),
				Signal: &signal.Signal{SignalID: "sig-5", SignalType: "sudo_denied"},
			},
		},
		{ID: 21, Reason: "damaged", Damaged: "its checksum doesn't match", At: now.Add(-time.Minute), Event: queue.Event{Seq: 7}, Raw: []byte{0xff, 0x1b, 'x'}},
	}
}
