package file

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/setting"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// Kind is type = "file".
func Kind() outputs.Kind { return outputs.Kind{Name: "file", New: newOutput} }

func newOutput(env outputs.Env, decode func(any) error) (outputs.Output, []outputs.Warning, error) {
	s := settings{Format: formatJSON, Mode: "0640"}
	if err := decode(&s); err != nil {
		return nil, nil, err
	}
	encode, err := s.check(env.Version)
	if err != nil {
		return nil, nil, err
	}
	return newWith(&env, s, encode, openFile), nil, nil
}

func newWith(env *outputs.Env, s settings, encode encoder, open opener) *output {
	return &output{
		settings: s, encode: encode, appender: &appender{path: string(s.Path), mode: s.mode, open: open, owner: env.CheckOwner},
		work: make(chan *job, 64), ended: make(chan struct{}), state: outputs.StateIdle,
	}
}

// output implements outputs.Output, Prober and Renderer.
type output struct {
	settings settings
	encode   encoder
	appender *appender // belongs to the writer's goroutine

	work    chan *job
	start   sync.Once
	started bool
	ended   chan struct{} // closed when the writer has returned
	buffers sync.Pool     // of *bytes.Buffer

	mu    sync.Mutex
	state outputs.State
	jobs  map[*job]struct{} // handed over and not done
}

// job is one batch on its way.
type job struct {
	lines *bytes.Buffer
	done  func(error)
	once  sync.Once
	// unhook stops watching the batch's context.
	unhook func() bool
}

// Send implements outputs.Output.
func (o *output) Send(ctx context.Context, batch []outputs.Record, done func(error)) {
	o.start.Do(func() {
		o.started = true
		go o.write()
	})
	j := &job{lines: o.buffer(), done: done}
	lines := j.lines.AvailableBuffer()
	for i := range batch {
		lines = append(o.encode(lines, &batch[i]), '\n')
	}
	j.lines.Write(lines)
	o.mu.Lock()
	if o.jobs == nil {
		o.jobs = map[*job]struct{}{}
	}
	o.jobs[j] = struct{}{}
	o.mu.Unlock()
	j.unhook = context.AfterFunc(ctx, func() { o.finish(j, context.Cause(ctx)) })
	select {
	case o.work <- j:
	case <-ctx.Done():
		o.finish(j, context.Cause(ctx))
	}
}

func (o *output) buffer() *bytes.Buffer {
	if b, ok := o.buffers.Get().(*bytes.Buffer); ok {
		b.Reset()
		return b
	}
	return &bytes.Buffer{}
}

// finish says what became of j, once.
func (o *output) finish(j *job, err error) {
	j.once.Do(func() {
		o.mu.Lock()
		delete(o.jobs, j)
		o.mu.Unlock()
		j.done(err)
	})
}

// write is the writer's goroutine. It ends when work is closed.
func (o *output) write() {
	defer close(o.ended)
	defer o.appender.close()
	var group []*job
	for j := range o.work {
		group = o.collect(append(group[:0], j))
		err := o.appender.append(group)
		if err != nil {
			// What was handed over meanwhile fails with it: written now, it would stand before what is sent again.
			group = o.collect(group)
		}
		o.setState(err)
		for _, j := range group {
			j.unhook()
			o.finish(j, err)
			o.buffers.Put(j.lines)
		}
		clear(group)
	}
}

// collect appends what waits in work to group.
func (o *output) collect(group []*job) []*job {
	for {
		select {
		case j, ok := <-o.work:
			if !ok {
				return group
			}
			group = append(group, j)
		default:
			return group
		}
	}
}

func (o *output) setState(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.state = outputs.StateUp
	if err != nil {
		o.state = outputs.StateDown
	}
}

// Batching implements outputs.Output.
func (o *output) Batching() outputs.Batching {
	return outputs.Batching{MaxRecords: 500, MaxBytes: 1 << 20, Linger: 10 * time.Millisecond, MaxInFlight: 4000}
}

// Status implements outputs.Output.
func (o *output) Status() outputs.Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := outputs.Status{Level: outputs.Stored, State: o.state, Peer: string(o.settings.Path)}
	if o.settings.Path == setting.Stdout {
		s.Level, s.Peer = outputs.Written, "standard output"
	}
	return s
}

// Close implements outputs.Output: what was handed over is still written, unless ctx ends before.
func (o *output) Close(ctx context.Context) error {
	close(o.work)
	if !o.started {
		return nil
	}
	select {
	case <-o.ended:
		o.mu.Lock()
		o.state = outputs.StateIdle
		o.mu.Unlock()
		return nil
	case <-ctx.Done():
	}
	o.mu.Lock()
	left := make([]*job, 0, len(o.jobs))
	for j := range o.jobs {
		left = append(left, j)
	}
	o.mu.Unlock()
	for _, j := range left {
		o.finish(j, context.Cause(ctx))
	}
	return fmt.Errorf("%s: a write does not end: %w", o.settings.Path, context.Cause(ctx))
}

// Render implements outputs.Renderer.
func (o *output) Render(rec outputs.Record) ([]byte, error) { return o.encode(nil, &rec), nil }
