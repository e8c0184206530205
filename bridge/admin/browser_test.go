//go:build browser

package admin_test

import (
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin/admintest"
)

// TestStatusPageInChromium looks at the page as people do: on a desk and on a phone, light and dark, with JavaScript
// and without. It wants Chromium (go test -tags browser) and leaves the pictures in $SCREENSHOTS, when set, for a
// person to look at.
func TestStatusPageInChromium(t *testing.T) {
	b := admintest.New(quiet())
	url := serve(t, b) + "/"
	c := startChromium(t)
	for _, view := range []struct {
		name          string
		width, height int
		phone         bool
	}{{"desktop", 1280, 900, false}, {"phone", 390, 844, true}} {
		for _, scheme := range []string{"light", "dark"} {
			c.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": view.width, "height": view.height, "deviceScaleFactor": 1, "mobile": view.phone})
			c.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}})
			c.open(url)
			name := view.name + "-" + scheme
			if wide := c.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"); wide != 0.0 {
				t.Errorf("%s: %v pixels are beyond the right edge", name, wide)
			}
			if faint := c.evaluate(faintText); faint != "" {
				t.Errorf("%s: contrast below 4.5 (WCAG 2.1 AA): %v", name, faint)
			}
			if order := c.evaluate(flowOrder); order != true {
				t.Errorf("%s: receive, queue and outputs are not in the order of the flow", name)
			}
			c.screenshot(name)
		}
	}
	if n := c.evaluate("document.querySelectorAll('#live script').length + document.querySelectorAll('script[src],link[rel=stylesheet]').length"); n != 0.0 {
		t.Errorf("%v scripts or styles from elsewhere", n)
	}
	checkRefresh(t, c, b)
	checkWithoutJavaScript(t, c, url)
	for _, host := range c.hosts() {
		if !strings.HasPrefix(url, "http://"+host+"/") {
			t.Errorf("the page made the browser ask %s", host)
		}
	}
	if len(c.complaints) > 0 {
		t.Errorf("the console says: %q", c.complaints)
	}
}

// faintText returns the first text whose contrast with its ground is below 4.5 to 1, or "".
const faintText = `(() => {
  const channels = colour => colour.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = node => { for (let n = node; n; n = n.parentElement) { const c = channels(getComputedStyle(n).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  const walk = document.createTreeWalker(document.getElementById("live"), NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || node.closest("script,style,meter")) continue;
    const [a, b] = [light(channels(getComputedStyle(node).color)), light(ground(node))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) return walk.currentNode.data.trim() + " " + ((a + 0.05) / (b + 0.05)).toFixed(2);
  }
  return "";
})()`

// flowOrder is true when the three sections follow each other to the right, or downwards on a narrow screen.
const flowOrder = `(() => {
  const boxes = [...document.querySelectorAll("main > section")].map(s => s.getBoundingClientRect());
  const side = innerWidth > 900 ? "left" : "top";
  return boxes.length === 3 && boxes[0][side] < boxes[1][side] && boxes[1][side] < boxes[2][side];
})()`

// checkRefresh: the page shows new figures by itself, and says so when it can't.
func checkRefresh(t *testing.T, c *chromium, b *admintest.Bridge) {
	t.Helper()
	b.Queue.Set(func(q *admintest.Queue) { q.State.LastSeq = 7654321 })
	c.until("new figures", "document.body.innerText.includes('7,654,321')")
	b.Queue.Set(func(q *admintest.Queue) { q.State.LastSeq = 7654322 })
	c.until("newer figures", "document.body.innerText.includes('7,654,322')")
	c.call("Network.emulateNetworkConditions", map[string]any{"offline": true, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0})
	c.until("a word about the lost connection", "!document.getElementById('lost').hidden")
	c.call("Network.emulateNetworkConditions", map[string]any{"offline": false, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1})
	c.until("the word to go away", "document.getElementById('lost').hidden")
	c.forget("net::ERR_INTERNET_DISCONNECTED")
}

func checkWithoutJavaScript(t *testing.T, c *chromium, url string) {
	t.Helper()
	c.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true})
	c.open(url)
	text := c.text()
	for _, want := range []string{"7,654,322", "siem", "reload it"} {
		if !strings.Contains(text, want) {
			t.Errorf("without JavaScript the page lacks %q", want)
		}
	}
}

func (c *chromium) screenshot(name string) {
	c.t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		dir = c.t.TempDir()
	}
	var shot struct{ Data string }
	c.result(c.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}), &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// until polls a JavaScript condition.
func (c *chromium) until(what, condition string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	for c.evaluate(condition) != true {
		select {
		case <-ctx.Done():
			c.t.Fatalf("waited for %s", what)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
