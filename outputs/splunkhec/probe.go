package splunkhec

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
)

// Probe implements outputs.Prober: for every URL the health page, then an event that is always refused (a blank one)
// for each index, which tells whether the token and the index are right and leaves nothing in an index, and with
// indexer_ack a poll. Only with probe_event = true one real event is sent.
func (o *Output) Probe(ctx context.Context) ([]outputs.Finding, error) {
	var findings []outputs.Finding
	for _, e := range o.pool.collectors {
		text, err := o.probe(ctx, e)
		if err != nil {
			findings = append(findings, outputs.Finding{Target: e.base, Text: o.redact(withoutURL(err).Error())})
			continue
		}
		findings = append(findings, outputs.Finding{Target: e.base, OK: true, Text: text})
	}
	return findings, ctx.Err()
}

func (o *Output) probe(ctx context.Context, e *collector) (string, error) {
	if err := o.askHealth(ctx, e); err != nil {
		return "", err
	}
	s := o.newSession(&lane{out: o, collector: e}, o.env.Now())
	defer s.disconnect()
	found := []string{"healthy", "token accepted"}
	for _, index := range o.routing.indexes {
		if err := o.probeIndex(ctx, s, index); err != nil {
			return "", err
		}
	}
	if s.acks != nil {
		if err := s.acks.verify(ctx); err != nil {
			return "", err
		}
		found = append(found, "indexer acknowledgement is on")
	}
	if !o.settings.ProbeEvent {
		return strings.Join(append(found, "nothing was sent (whether the index exists shows only with probe_event = true)"), ", "), nil
	}
	if err := o.probeEvent(ctx, s); err != nil {
		return "", err
	}
	return strings.Join(append(found, "one test event was accepted"), ", "), nil
}

// probeEnvelope is the event of a probe.
type probeEnvelope struct {
	Event      string `json:"event"`
	Index      string `json:"index,omitempty"`
	Source     string `json:"source"`
	SourceType string `json:"sourcetype"`
	Host       string `json:"host,omitempty"`
}

func (o *Output) probePost(ctx context.Context, s *session, index, event string) (answer, error) {
	text, err := json.Marshal(probeEnvelope{Event: event, Index: index, Source: o.settings.Source,
		SourceType: mapping.SyntheticSourcetype, Host: o.env.Hostname})
	if err != nil {
		return answer{}, err
	}
	ans, _, err := s.do(ctx, http.MethodPost, s.lane.collector.event, &body{bytes: text}, maxAnswer)
	return ans, err
}

// probeIndex sends a blank event: refused for being blank, it has passed the token's and the channel's checks.
func (o *Output) probeIndex(ctx context.Context, s *session, index string) error {
	ans, err := o.probePost(ctx, s, index, "")
	if err != nil {
		return err
	}
	switch v := ans.verdict(); {
	case v == wrongIndex:
		return fmt.Errorf("index %q: %w", index, ans.err())
	case v == rejectedEvent, ans.code == 5, v == accepted, v == slowDown:
		return nil
	default:
		return ans.err()
	}
}

func (o *Output) probeEvent(ctx context.Context, s *session) error {
	ans, err := o.probePost(ctx, s, o.settings.Index, "linuxguard-bridge: a test event of check --probe")
	if err != nil {
		return err
	}
	if v := ans.verdict(); v != accepted && v != slowDown {
		return ans.err()
	}
	return nil
}
