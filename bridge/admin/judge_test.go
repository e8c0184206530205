package admin_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/admin/admintest"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// TestOneJudgement puts every kind of trouble into a bridge and holds all views against each other: /healthz and /readyz, the metric,
// the status that the command prints, and the page.
func TestOneJudgement(t *testing.T) {
	t.Parallel()
	siem := func(b *admintest.Bridge) *admin.OutputReport { return &b.Source.Says.Outputs[0] }
	for name, c := range map[string]struct {
		with           func(*admintest.Bridge)
		healthy, ready bool
		says           string
	}{
		"healthy": {func(*admintest.Bridge) {}, true, true, ""},
		"full": {func(b *admintest.Bridge) {
			b.Queue.State.Full, b.Queue.State.Problem = true, "max_bytes is used up"
		}, true, false, "the queue is full, webhooks get 503: max_bytes is used up"},
		"unhealthy": {func(b *admintest.Bridge) {
			b.Queue.State.Healthy, b.Queue.State.Full, b.Queue.State.Problem = false, true, "no space left on device"
		}, false, false, "the queue can't take events, webhooks get 503: no space left on device"},
		"unhealthy without a reason": {func(b *admintest.Bridge) { b.Queue.State.Healthy = false }, false, false, "webhooks get 503: it can"},
		"blocked": {func(b *admintest.Bridge) {
			siem(b).Blocked, siem(b).BlockedReason = true, "the token is disabled"
		}, true, false, "output archive is blocked until an operator acts: the token is disabled"},
		"a full quarantine": {func(b *admintest.Bridge) { b.Queue.State.Outputs[0].QuarantineFull = true },
			true, false, "output archive stands still, its share of the quarantine is full"},
		"stuck":    {func(b *admintest.Bridge) { siem(b).Stuck = true }, false, false, "the worker of output archive makes no progress"},
		"stopping": {func(b *admintest.Bridge) { b.Source.Says.Stopping = true }, true, false, "the bridge is stopping"},
		"down": {func(b *admintest.Bridge) {
			siem(b).State, siem(b).LastError = "down", "refused"
		}, true, true, ""},
		"lost": {func(b *admintest.Bridge) {
			b.Queue.Lost = []queue.Loss{{ID: 1, First: 7, Last: 9}, {ID: 2, First: 12, Last: 12}}
		}, true, true, "LOST 4 events in 2 losses: see linuxguard-bridge losses list"},
		"lost, nobody knows what": {func(b *admintest.Bridge) { b.Queue.Lost = []queue.Loss{{ID: 1}} },
			true, true, "LOST an unknown number of events in 1 loss"},
		"lost, partly known": {func(b *admintest.Bridge) { b.Queue.Lost = []queue.Loss{{ID: 1}, {ID: 2, First: 12, Last: 12}} },
			true, true, "LOST at least 1 event in 2 losses"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := admintest.New(quiet())
			b.Source.Says = admin.Report{StartedAt: admintest.Now(), Outputs: b.Source.Says.Outputs[:1]}
			b.Queue.State.Outputs, b.Queue.Lost = b.Queue.State.Outputs[:1], nil
			c.with(b)
			v := look(t, b)
			if v.healthy != c.healthy || v.ready != c.ready || v.metric != c.ready || v.status.Ready != c.ready {
				t.Errorf("healthy %v, ready %v, metric %v, status %v", v.healthy, v.ready, v.metric, v.status.Ready)
			}
			for view, text := range map[string]string{"status": strings.Join(v.status.Problems(), "\n"), "page": v.page} {
				if !strings.Contains(text, strings.ReplaceAll(c.says, "'", "&#39;")) && !strings.Contains(text, c.says) {
					t.Errorf("%s doesn't say %q:\n%s", view, c.says, text)
				}
			}
			if !c.ready && !strings.Contains(v.readyz, c.says) {
				t.Errorf("/readyz doesn't say %q: %s", c.says, v.readyz)
			}
			if c.says == "" && len(v.status.Problems()) > 0 {
				t.Errorf("problems %q", v.status.Problems())
			}
			if strings.Contains(v.page, `<span class="badge bad">not ready`) == c.ready {
				t.Errorf("the page is wrong about ready")
			}
		})
	}
}

// views is what each view of a bridge says.
type views struct {
	healthy, ready, metric bool
	readyz, page           string
	status                 admin.Status
}

func look(t *testing.T, b *admintest.Bridge) (v views) {
	t.Helper()
	base := serve(t, b)
	resp, _ := request{path: "/healthz"}.do(t, base)
	v.healthy = resp.StatusCode == 200
	resp, body := request{path: "/readyz"}.do(t, base)
	var health admin.Health
	if err := json.Unmarshal([]byte(body), &health); err != nil {
		t.Fatal(err)
	}
	v.ready, v.readyz = resp.StatusCode == 200, strings.Join(health.Reasons, "\n")
	_, body = request{path: "/metrics"}.do(t, base)
	v.metric = strings.Contains(body, "linuxguard_bridge_ready 1\n")
	_, v.page = request{path: "/"}.do(t, base)
	var err error
	if v.status, err = admin.NewClient(b.Control(t), "").Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestALossStandsAtTheTop: what is lost comes before everything else that is wrong.
func TestALossStandsAtTheTop(t *testing.T) {
	t.Parallel()
	v := look(t, admintest.New(quiet()))
	if p := v.status.Problems(); len(p) < 2 || !strings.HasPrefix(p[0], "LOST 2 events in 1 loss") {
		t.Errorf("%q", p)
	}
	lost, blocked := strings.Index(v.page, "LOST 2 events"), strings.Index(v.page, "output splunk is blocked")
	if lost < 0 || blocked < lost {
		t.Errorf("the page has the loss at %d and the blocked output at %d", lost, blocked)
	}
}

func TestCapacityLasts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		remembered, capacity int
		covered, want        time.Duration
	}{
		{0, 1000, time.Hour, 0},
		{100, 1000, 59 * time.Second, 0},
		{100, 1000, time.Hour, 10 * time.Hour},
		{1000, 1000, time.Hour, time.Hour},
		{1, 100_000_000, 72 * time.Hour, 100 * 365 * 24 * time.Hour},
	} {
		b := admintest.New(quiet())
		b.Queue.State.Remembered, b.Queue.State.Capacity, b.Queue.State.WindowCovered = c.remembered, c.capacity, c.covered
		st, err := admin.NewClient(b.Control(t), "").Status(t.Context())
		if err != nil || st.Queue.CapacityLasts != c.want {
			t.Errorf("%+v: %v, %v", c, st.Queue.CapacityLasts, err)
		}
	}
}
