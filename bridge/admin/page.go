package admin

import (
	"crypto/sha256"
	_ "embed" // the page's three parts
	"encoding/base64"
	"html/template"
	"io"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// page is the status page: one document that names nothing outside of itself.
type page struct {
	tmpl   *template.Template
	policy string // Content-Security-Policy: the page's own style and script by their digests, and nothing else
}

type pageData struct {
	Status
	Style  template.CSS
	Script template.JS

	Received     chart
	ReceivedRate string
	Outputs      []pageOutput
}

// pageOutput is an output with its last hour.
type pageOutput struct {
	OutputReport
	Rate string
	Lag  chart
}

func newPage() *page {
	p := &page{policy: "default-src 'none'; style-src " + digest(pageCSS) + "; script-src " + digest(pageJS) +
		"; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
	p.tmpl = template.Must(template.New("page").Funcs(template.FuncMap{
		"count": display.Number, "size": display.Size, "time": display.Time, "for": display.Duration, "ago": display.Ago,
		"clean": display.Line, "grade": func(o pageOutput) string { return grade(o.OutputReport) }, "short": func(hash string) string { return hash[:min(len(hash), 12)] },
		"high": func(n int64) int64 { return n / 10 * 8 },
	}).Parse(pageHTML))
	return p
}

// digest is the source expression of CSP level 2 for an inline element with exactly this text.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func (p *page) render(w io.Writer, st Status, h *history) error {
	received := h.received()
	data := pageData{
		Status: st, Style: template.CSS(pageCSS), Script: template.JS(pageJS), //nolint:gosec // both are embedded, nothing of a request is in them
		Received: received.line(st.At, "received", formatRate), ReceivedRate: formatRate(received.lastMinute()),
	}
	for _, o := range st.Outputs {
		data.Outputs = append(data.Outputs, pageOutput{o, formatRate(h.deliveries(o.Name).lastMinute()), h.lags(o.Name).line(st.At, "lag", formatSeconds)})
	}
	return p.tmpl.Execute(w, data)
}

// grade is the colour of an output: it works, works with something to look at, or does not.
func grade(o OutputReport) string {
	switch {
	case o.Blocked, o.Stuck, o.Queued.QuarantineFull, o.State == "down", o.Dropped > 0, o.Lost > 0:
		return "bad"
	case len(o.Warnings)+len(o.Certificates) > 0, o.Quarantined > 0, o.State == "connecting":
		return "warn"
	case o.State == "up":
		return "good"
	default:
		return ""
	}
}
