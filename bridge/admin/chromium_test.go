//go:build browser

package admin_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// chromium is a headless browser that is spoken to in the DevTools protocol over a pair of pipes
// (--remote-debugging-pipe): JSON messages, each ended by a NUL.
type chromium struct {
	t          *testing.T
	to         *os.File
	messages   chan message
	session    string
	last       int
	requested  []string
	complaints []string
}

type message struct {
	ID     int
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *struct{ Message string }
}

func startChromium(t *testing.T) *chromium {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("this test looks at the status page in Chromium: install the package chromium")
	}
	readEnd, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, writeEnd, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--user-data-dir="+t.TempDir(), "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{readEnd, writeEnd} // descriptors 3 and 4
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = readEnd.Close(), writeEnd.Close()
	c := &chromium{t: t, to: to, messages: make(chan message, 1024)}
	go c.read(from)
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		_, _ = to.Close(), from.Close()
	})
	c.attach()
	return c
}

func (c *chromium) attach() {
	var target struct{ TargetID string }
	c.result(c.call("Target.createTarget", map[string]any{"url": "about:blank"}), &target)
	var attached struct{ SessionID string }
	c.result(c.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}), &attached)
	c.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network", "DOM"} {
		c.call(domain+".enable", nil)
	}
}

func (c *chromium) read(from *os.File) {
	defer close(c.messages)
	r := bufio.NewReaderSize(from, 1<<20)
	for {
		raw, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(bytes.TrimSuffix(raw, []byte{0}), &m) == nil {
			c.messages <- m
		}
	}
}

// call sends a command and waits for its answer; what happens meanwhile is noted.
func (c *chromium) call(method string, params map[string]any) json.RawMessage {
	c.t.Helper()
	c.last++
	m := map[string]any{"id": c.last, "method": method}
	if params != nil {
		m["params"] = params
	}
	if c.session != "" {
		m["sessionId"] = c.session
	}
	body, err := json.Marshal(m)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.to.Write(append(body, 0)); err != nil {
		c.t.Fatal(err)
	}
	return c.wait(method, func(m message) bool { return m.ID == c.last })
}

func (c *chromium) wait(what string, wanted func(message) bool) json.RawMessage {
	c.t.Helper()
	deadline := time.After(60 * time.Second)
	for {
		select {
		case m, ok := <-c.messages:
			if !ok {
				c.t.Fatalf("Chromium ended during %s", what)
			}
			c.note(m)
			if !wanted(m) {
				continue
			}
			if m.Error != nil {
				c.t.Fatalf("%s: %s", what, m.Error.Message)
			}
			return m.Result
		case <-deadline:
			c.t.Fatalf("Chromium does not answer %s", what)
		}
	}
}

// note keeps what the page asked for and what the console complained of.
func (c *chromium) note(m message) {
	switch m.Method {
	case "Network.requestWillBeSent":
		var p struct{ Request struct{ URL string } }
		_ = json.Unmarshal(m.Params, &p)
		c.requested = append(c.requested, p.Request.URL)
	case "Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown":
		c.complaints = append(c.complaints, string(m.Params))
	}
}

// forget drops complaints that the test itself caused.
func (c *chromium) forget(text string) {
	c.complaints = slices.DeleteFunc(c.complaints, func(s string) bool { return strings.Contains(s, text) })
}

func (c *chromium) hosts() []string {
	var found []string
	for _, r := range c.requested {
		if u, err := url.Parse(r); err == nil && u.Host != "" && !slices.Contains(found, u.Host) {
			found = append(found, u.Host)
		}
	}
	return found
}

func (c *chromium) result(raw json.RawMessage, v any) {
	c.t.Helper()
	if err := json.Unmarshal(raw, v); err != nil {
		c.t.Fatalf("%v in %s", err, raw)
	}
}

func (c *chromium) open(page string) {
	c.t.Helper()
	c.call("Page.navigate", map[string]any{"url": page})
	c.wait("the page to load", func(m message) bool { return m.Method == "Page.loadEventFired" })
}

func (c *chromium) evaluate(expression string) any {
	c.t.Helper()
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails *struct{ Text string }
	}
	c.result(c.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}), &r)
	if r.ExceptionDetails != nil {
		c.t.Fatalf("%s: %s", expression, r.ExceptionDetails.Text)
	}
	return r.Result.Value
}

// text is the document without the help of a script.
func (c *chromium) text() string {
	c.t.Helper()
	var doc struct{ Root struct{ NodeID int } }
	c.result(c.call("DOM.getDocument", nil), &doc)
	var html struct{ OuterHTML string }
	c.result(c.call("DOM.getOuterHTML", map[string]any{"nodeId": doc.Root.NodeID}), &html)
	return html.OuterHTML
}
