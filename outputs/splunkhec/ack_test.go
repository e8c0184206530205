package splunkhec

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
	"github.com/linuxguard/linuxguard-bridge/outputs/splunkhec/hectest"
)

const ackOn = "indexer_ack = true\n"

// TestLateAcks: Splunk holds small batches for two minutes and more. Nothing is delivered before its acknowledgement,
// nothing is sent twice, and the polls get rare.
func TestLateAcks(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		splunk := &hectest.Splunk{Token: testToken, Ack: true, AckAfter: 150 * time.Second}
		w.add("splunk:8088", splunk)
		out, _ := w.output(ackOn, "http://splunk:8088")
		start := time.Now()
		var fates []*fate
		for i := range 20 {
			fates = append(fates, sendBatch(context.Background(), out, outputtest.Records(t, uint64(i*10)+1, 10)))
			time.Sleep(time.Second)
		}
		for i, f := range fates {
			<-f.done
			took := f.at.Sub(start) - time.Duration(i)*time.Second
			if f.err != nil || took < 150*time.Second || took > 165*time.Second {
				t.Errorf("batch %d: %v after %v", i, f.err, took)
			}
		}
		checkAll(t, splunk.Sequences(), 200, 1)
		polls, channels := 0, map[string]bool{}
		for _, r := range splunk.Requests() {
			channels[r.Channel] = true
			if strings.HasSuffix(r.Path, "/ack") {
				polls++
			}
		}
		if polls > 100 {
			t.Errorf("%d polls in three minutes", polls)
		}
		if len(channels) != 1 || channels[""] {
			t.Errorf("channels %v: a quiet output needs one", channels)
		}
		if s := out.Status(); s.Level != outputs.Stored {
			t.Errorf("level %v", s.Level)
		}
	})
}

// TestAcksNeverTrue: events whose acknowledgement stays false for ever are sent again once for each ack_timeout, and
// what is kept of them is bounded.
func TestAcksNeverTrue(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		splunk := &hectest.Splunk{Token: testToken, Ack: true, AckNever: true}
		w.add("splunk:8088", splunk)
		out, _ := w.output(ackOn, "http://splunk:8088")
		batch := outputtest.Records(t, 1, 10)
		start := time.Now()
		tries := 0
		for time.Since(start) < time.Hour {
			err := send(t, out, batch)
			if kindOf(err) != "retry" || !strings.Contains(err.Error(), "sticky") {
				t.Fatalf("want a temporary failure that names the likely cause: %v", err)
			}
			tries++
		}
		if tries < 10 || tries > 13 {
			t.Errorf("%d tries in an hour with an ack_timeout of 5m", tries)
		}
		checkAll(t, splunk.Sequences(), 10, tries)
		splunk.Set(func(s *hectest.Splunk) { s.AckNever = false })
		if err := send(t, out, batch); err != nil {
			t.Error(err)
		}
		if n := pendingAcks(out); n != 0 {
			t.Errorf("%d are still pending", n)
		}
	})
}

// pendingAcks counts what out still remembers.
func pendingAcks(out *Output) int { return len(out.pendingSlots) }

// TestPendingBounded: with acknowledgements that don't come, the number of requests stops at max_pending_acks.
func TestPendingBounded(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		splunk := &hectest.Splunk{Token: testToken, Ack: true, AckNever: true}
		w.add("splunk:8088", splunk)
		out, _ := w.output(ackOn+"max_pending_acks = 7\nack_timeout = \"1m\"", "http://splunk:8088")
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Second)
		defer cancel()
		var fates []*fate
		for i := range 40 {
			fates = append(fates, sendBatch(ctx, out, outputtest.Records(t, uint64(i)+1, 1)))
		}
		posted := 0
		for _, r := range splunk.Requests() {
			posted += r.Events
		}
		if posted != 7 {
			t.Errorf("%d requests are pending, the bound is 7", posted)
		}
		for i, f := range fates {
			<-f.done
			if f.err == nil || f.calls != 1 {
				t.Errorf("batch %d: %v, done called %d times", i, f.err, f.calls)
			}
		}
	})
}

// TestAckDisabled: without acknowledgement nothing is ever sent, an alarm is raised, and it resumes by itself.
func TestAckDisabled(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		splunk := &hectest.Splunk{Token: testToken}
		w.add("splunk:8088", splunk)
		out, _ := w.output(ackOn, "http://splunk:8088")
		batch := outputtest.Records(t, 1, 5)
		for range 3 {
			if err := send(t, out, batch); kindOf(err) != "blocked" || !strings.Contains(err.Error(), "indexer_ack = false") {
				t.Fatalf("want a blocked output that says what to do: %v", err)
			}
			time.Sleep(30 * time.Second)
		}
		if n := len(splunk.Sequences()); n != 0 {
			t.Errorf("%d events were sent to a token without acknowledgement", n)
		}
		splunk.Set(func(s *hectest.Splunk) { s.Ack = true })
		if err := send(t, out, batch); err != nil {
			t.Error(err)
		}
		checkAll(t, splunk.Sequences(), 5, 1)
	})
}

// TestAckTurnedOff: acknowledgement that is turned off while events wait for it holds at once.
func TestAckTurnedOff(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		splunk := &hectest.Splunk{Token: testToken, Ack: true, AckAfter: time.Hour}
		w.add("splunk:8088", splunk)
		out, _ := w.output(ackOn, "http://splunk:8088")
		f := sendBatch(context.Background(), out, outputtest.Records(t, 1, 5))
		time.Sleep(20 * time.Second)
		splunk.Set(func(s *hectest.Splunk) { s.Ack = false })
		start := time.Now()
		<-f.done
		if kindOf(f.err) != "blocked" || time.Since(start) > 10*time.Second {
			t.Errorf("%v after %v", f.err, time.Since(start))
		}
	})
}

// TestNoAckID: an accepted answer without ackId is not a delivery.
func TestNoAckID(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		w.add("splunk:8088", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/ack") {
				_, _ = rw.Write([]byte(`{"acks":{"0":false}}`))
				return
			}
			hectest.Answer(rw, 200, 0, "Success")
		}))
		out, _ := w.output(ackOn, "http://splunk:8088")
		if err := send(t, out, outputtest.Records(t, 1, 5)); kindOf(err) != "blocked" || !strings.Contains(err.Error(), "ackId") {
			t.Error(err)
		}
	})
}

// TestRestartedSplunk: ids that begin anew must never confirm older events.
func TestRestartedSplunk(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		splunk := &hectest.Splunk{Token: testToken, Ack: true, AckAfter: time.Minute}
		w.add("splunk:8088", splunk)
		out, _ := w.output(ackOn+"max_requests_in_flight = 1", "http://splunk:8088")
		var old []*fate
		for i := range 3 {
			old = append(old, sendBatch(context.Background(), out, outputtest.Records(t, uint64(i)+1, 1)))
		}
		time.Sleep(30 * time.Second)
		splunk.Restart()
		w.cut("splunk:8088")
		young := sendBatch(context.Background(), out, outputtest.Records(t, 4, 1))
		for i, f := range old {
			<-f.done
			if kindOf(f.err) != "retry" {
				t.Errorf("batch %d was posted before the restart: %v", i, f.err)
			}
		}
		<-young.done
		if young.err != nil {
			t.Error(young.err)
		}
	})
}

// TestChannelSurvivesReconnect: a broken connection changes neither channel nor cookies.
func TestChannelSurvivesReconnect(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		splunk := &hectest.Splunk{Token: testToken, Ack: true, AckAfter: 20 * time.Second}
		w.add("splunk:8088", splunk)
		out, _ := w.output(ackOn, "http://splunk:8088")
		f := sendBatch(context.Background(), out, outputtest.Records(t, 1, 5))
		for range 5 {
			time.Sleep(2 * time.Second)
			w.cut("splunk:8088")
		}
		<-f.done
		if f.err != nil {
			t.Fatal(f.err)
		}
		if err := send(t, out, outputtest.Records(t, 6, 1)); err != nil {
			t.Fatal(err)
		}
		channels := map[string]bool{}
		for _, r := range splunk.Requests() {
			channels[r.Channel] = true
		}
		if len(channels) != 1 || w.dials("splunk:8088") < 2 {
			t.Errorf("%d channels over %d connections", len(channels), w.dials("splunk:8088"))
		}
	})
}

// TestCloseWithPendingAcks: Close waits for acknowledgements as long as it may, and ends the batches that have none,
// each once.
func TestCloseWithPendingAcks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit time.Duration
		want  string
	}{{10 * time.Second, "retry"}, {5 * time.Minute, "delivered"}} {
		inWorld(t, func(t *testing.T, w *world) {
			w.add("splunk:8088", &hectest.Splunk{Token: testToken, Ack: true, AckAfter: 2 * time.Minute})
			out, _ := w.output(ackOn, "http://splunk:8088")
			var fates []*fate
			for i := range 6 {
				fates = append(fates, sendBatch(context.Background(), out, outputtest.Records(t, uint64(i)+1, 1)))
			}
			time.Sleep(5 * time.Second)
			ctx, cancel := context.WithTimeout(context.Background(), c.limit)
			defer cancel()
			err := out.Close(ctx)
			if (err == nil) != (c.want == "delivered") {
				t.Errorf("Close: %v", err)
			}
			for i, f := range fates {
				select {
				case <-f.done:
				default:
					t.Fatalf("when Close returned, done was not called for batch %d", i)
				}
				if got := kindOf(f.err); got != c.want || f.calls != 1 {
					t.Errorf("batch %d: %s (%v), done called %d times; want %s", i, got, f.err, f.calls, c.want)
				}
			}
		})
	}
}

// TestContextEndsPendingAcks: a context that ends gives up what waits for its acknowledgement.
func TestContextEndsPendingAcks(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		w.add("splunk:8088", &hectest.Splunk{Token: testToken, Ack: true, AckNever: true})
		out, _ := w.output(ackOn, "http://splunk:8088")
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		start := time.Now()
		f := sendBatch(ctx, out, outputtest.Records(t, 1, 5))
		<-f.done
		if !errors.Is(f.err, context.DeadlineExceeded) || time.Since(start) != 20*time.Second || pendingAcks(out) != 0 {
			t.Errorf("%v after %v, %d pending", f.err, time.Since(start), pendingAcks(out))
		}
	})
}
