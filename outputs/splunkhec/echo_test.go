package splunkhec

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
)

// TestTokenEcho: a server that shows the token in whatever it says doesn't get it into an error, a status or the log.
func TestTokenEcho(t *testing.T) {
	t.Parallel()
	echo := func(status, body string) string {
		return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Length: %d\r\nX-Echo: %s\r\n\r\n%s", status, len(body), testToken, body)
	}
	for _, answer := range []string{
		echo("403 "+testToken, testToken),
		echo("403 no", `{"text":"`+testToken),
		echo("400 no", `{"text":"`+testToken+`","code":12}`),
		echo("503 no", `{"text":"`+testToken+`","code":9}`),
		"HTTP/1.1 " + testToken + "\r\n\r\n",
		testToken + "\r\n\r\n",
		"HTTP/1.1 307 no\r\nLocation: ://" + testToken + "\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: " + testToken + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + testToken + "\r\n\r\n",
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.addRaw("splunk:8088", answerRaw(answer))
			out, log := w.output("", "http://splunk:8088")
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			f := sendBatch(ctx, out, outputtest.Records(t, 1, 1))
			<-f.done
			findings, _ := out.Probe(ctx)
			text := fmt.Sprint(f.err, out.Status(), findings)
			if f.err == nil || strings.Contains(text+log.String(), testToken) {
				t.Errorf("%.60q: %s\n%s", answer, text, log)
			}
		})
	}
}
