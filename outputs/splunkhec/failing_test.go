package splunkhec

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/bubble"
	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
	"github.com/linuxguard/linuxguard-bridge/outputs/splunkhec/hectest"
)

// TestFailing is what TestAFailureLetsOthersRun runs. By itself it passes.
func TestFailing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.add("splunk:1", &hectest.Splunk{Token: testToken, Ack: true, AckNever: true})
		w.addRaw("silent:1", func(c net.Conn) { _, _ = c.Read(make([]byte, 1)); time.Sleep(time.Hour) })
		w.add("hole:1", &hectest.Splunk{Token: testToken})
		w.set("hole:1", func(h *host) { h.blackHole = true })
		for _, name := range []string{"http://splunk:1", "http://silent:1", "http://hole:1"} {
			out, _ := w.output(ackOn, name)
			sendBatch(context.Background(), out, outputtest.Records(t, 1, 1))
		}
		time.Sleep(5 * time.Second)
		bubble.Fail(t)
	})
}

func TestAFailureLetsOthersRun(t *testing.T) {
	t.Parallel()
	bubble.FailsAlone(t, "TestFailing", "TestRequests")
}
