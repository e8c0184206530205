// Package spool is an output that is not in the tree: TestOutputFromOutside adds it to the program. It appends signals
// to a file, and says there which token it has.
package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
	"github.com/linuxguard/linuxguard-bridge/bridge/setting"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
)

// Kind is type = "spool".
func Kind() outputs.Kind { return outputs.Kind{Name: "spool", New: newOutput} }

type settings struct {
	To     setting.WriteFile `toml:"to"`
	Greet  setting.ReadFile  `toml:"greeting"`
	Token  secret.Ref        `toml:"token"`
	Budget setting.Size      `toml:"budget"`
	Pause  time.Duration     `toml:"pause"`
}

type output struct {
	settings settings
	env      outputs.Env
	token    secret.Value
	encode   *mapping.JSON
	lines    prometheus.Counter
	file     *os.File
}

func newOutput(env outputs.Env, decode func(any) error) (outputs.Output, []outputs.Warning, error) {
	o := &output{settings: settings{Budget: 1 << 20}, env: env, encode: mapping.NewJSON()}
	if err := decode(&o.settings); err != nil {
		return nil, nil, err
	}
	token, err := env.Secret(o.settings.Token)
	if err != nil {
		err = &outputs.KeyError{Key: "token", Err: err}
	}
	if o.settings.Budget < 1024 {
		err = errors.Join(err, &outputs.KeyError{Key: "budget", Err: errors.New("must be 1KiB at least")})
	}
	o.token = token
	o.lines = promauto.With(env.Metrics).NewCounter(prometheus.CounterOpts{Name: "linuxguard_bridge_spool_lines_total", Help: "Lines written."})
	return o, nil, err
}

// Send implements outputs.Output.
func (o *output) Send(_ context.Context, batch []outputs.Record, done func(error)) {
	done(o.write(batch))
}

func (o *output) write(batch []outputs.Record) error {
	if err := o.env.CheckOwner(); err != nil {
		return err
	}
	if o.file == nil {
		file, err := os.OpenFile(string(o.settings.To), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		o.file = file
		if _, err := fmt.Fprintf(file, "{\"token_bytes\":%d}\n", len(o.token.Reveal())); err != nil {
			return err
		}
	}
	for i := range batch {
		if _, err := o.file.Write(append(o.encode.Append(nil, &batch[i]), '\n')); err != nil {
			return err
		}
		o.lines.Inc()
	}
	return o.file.Sync()
}

// Batching implements outputs.Output.
func (o *output) Batching() outputs.Batching {
	return outputs.Batching{MaxRecords: 10, MaxBytes: int(o.settings.Budget), MaxInFlight: 10}
}

// Status implements outputs.Output.
func (o *output) Status() outputs.Status {
	return outputs.Status{Level: outputs.Stored, State: outputs.StateUp, Peer: string(o.settings.To)}
}

// Render implements outputs.Renderer.
func (o *output) Render(rec outputs.Record) ([]byte, error) { return o.encode.Append(nil, &rec), nil }

// Close implements outputs.Output.
func (o *output) Close(context.Context) error {
	if o.file == nil {
		return nil
	}
	return o.file.Close()
}
