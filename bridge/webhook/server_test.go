package webhook

import (
	"io"
	"net/http"
	"testing"
	"time"
)

func send(t testing.TB, client *http.Client, r *http.Request) (int, string) {
	t.Helper()
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestDeliveryOverBothProtocols(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		rig := newRig(t, nil)
		client := rig.client(http2)
		body := payload("sig_1", time.Now())
		for i, want := range []string{`{"status":"accepted"}` + "\n", `{"status":"duplicate"}` + "\n"} {
			status, got := send(t, client, delivery(t, rig.url(), body))
			if status != 200 || got != want {
				t.Errorf("HTTP/2 %v, delivery %d: got %d %q, want 200 %q", http2, i, status, got, want)
			}
		}
		if n := len(rig.queue.taken()); n != 1 {
			t.Errorf("HTTP/2 %v: %d events in the queue, want 1", http2, n)
		}
	}
}
