package splunkhec

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/tlsclient"
)

// Output delivers to Splunk. See the package's documentation for how.
type Output struct {
	env      outputs.Env
	settings Settings
	token    secret.Value
	warnings []string // from the configuration
	routing  *routing
	proxy    func(*http.Request) (*url.URL, error)
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	expiry   *tlsclient.Expiry

	jsonType, gzipEncoding []string // header values, shared by all requests

	metrics *metrics

	pool    *pool
	buffers buffers
	limit   atomic.Int64 // bytes of a request before compression
	down    atomic.Bool  // the last request failed

	accepted atomic.Int64 // when events were accepted last, Unix nanoseconds
	accepts  atomic.Int64 // requests of which events were accepted
	refusing atomic.Int64 // accepts plus one when the collector began to refuse all that it got; 0: it has not
	plain    atomic.Bool  // no gzip, since the collector refuses everything that is compressed

	slots        chan struct{} // batches under way
	pendingSlots chan struct{} // requests without acknowledgement; nil without indexer_ack

	wg      sync.WaitGroup
	life    context.Context // ends when nothing may go on
	end     context.CancelCauseFunc
	closing context.Context // ends when nothing that can wait may begin
	shut    context.CancelFunc
}

var (
	_ outputs.Output   = (*Output)(nil)
	_ outputs.Prober   = (*Output)(nil)
	_ outputs.Renderer = (*Output)(nil)
)

// Send implements outputs.Output. It blocks while max_requests_in_flight batches are under way.
func (o *Output) Send(ctx context.Context, batch []outputs.Record, done func(error)) {
	if len(batch) == 0 {
		done(nil)
		return
	}
	select {
	case o.slots <- struct{}{}:
	case <-ctx.Done():
		done(ctx.Err())
		return
	}
	o.wg.Add(1) // until done is called
	o.wg.Go(o.newDelivery(ctx, batch, done).run)
}

// Batching implements outputs.Output.
func (o *Output) Batching() outputs.Batching {
	return outputs.Batching{
		MaxRecords:  o.settings.BatchMaxEvents,
		MaxBytes:    int(o.settings.BatchMaxBytes),
		Linger:      o.settings.BatchLinger,
		MaxInFlight: o.settings.MaxInFlight,
	}
}

// Status implements outputs.Output.
func (o *Output) Status() outputs.Status {
	problems, last := o.pool.snapshot()
	s := outputs.Status{Level: outputs.AppAcknowledged, State: outputs.StateIdle, Warnings: append([]string(nil), o.warnings...)}
	if o.settings.IndexerAck {
		s.Level = outputs.Stored
	}
	if last != nil {
		s.Peer, s.State = last.base, outputs.StateUp
	}
	if o.down.Load() {
		s.State = outputs.StateDown
	}
	o.expiry.Tell(&s)
	if len(o.pool.collectors) > 1 { // with one, the output's own state says it
		for _, err := range problems {
			s.Warnings = append(s.Warnings, err.Error())
		}
	}
	return s
}

// Render implements outputs.Renderer: one event as it stands in a request.
func (o *Output) Render(rec outputs.Record) ([]byte, error) {
	return o.routing.appendEvent(nil, &rec), nil
}

var errClosed = errors.New("the output is closed")

// Close implements outputs.Output. Requests under way, and acknowledgements, may come until ctx ends.
func (o *Output) Close(ctx context.Context) error {
	o.shut()
	idle := make(chan struct{})
	go func() {
		o.wg.Wait()
		close(idle)
	}()
	var err error
	select {
	case <-idle:
	case <-ctx.Done():
		err = ctx.Err()
	}
	o.end(errClosed)
	<-idle
	for _, e := range o.pool.collectors {
		for _, l := range e.free {
			l.close()
		}
	}
	return err
}
