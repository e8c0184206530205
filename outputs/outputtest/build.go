package outputtest

import (
	"bytes"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// Log collects what an output logs.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String returns everything logged so far, at every level.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Env returns what the bridge would give an output, with secrets by their reference ("env:TOKEN"), and its log.
func Env(t testing.TB, secrets map[string]string) (outputs.Env, *Log) {
	t.Helper()
	log := &Log{}
	return outputs.Env{
		Name: "trial",
		Log:  slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})).With("output", "trial"),
		Secret: func(ref secret.Ref) (secret.Value, error) {
			clear, ok := secrets[string(ref)]
			if !ok {
				return secret.Value{}, errors.New("secret " + string(ref) + ": not set")
			}
			return secret.NewValue(clear), nil
		},
		Now: time.Now, Version: "0.0.0-test", Hostname: "bridge.example.com",
	}, log
}

// Build makes an output of kind from its TOML table as the bridge does: by what the configuration has read, once it is read.
func Build(kind outputs.Kind, env outputs.Env, table string) (out outputs.Output, warnings []outputs.Warning, err error) {
	tree := map[string]any{}
	if _, err := toml.Decode(table, &tree); err != nil {
		return nil, nil, err
	}
	tree["type"] = kind.Name
	text, err := toml.Marshal(map[string]any{"output": map[string]any{env.Name: tree}})
	if err != nil {
		return nil, nil, err
	}
	var decode func(any) error
	config.LoadFiles([]config.File{{Name: "table", Data: text}}, config.Options{Construct: func(o *config.Output) ([]config.OutputWarning, error) {
		decode = o.Decode
		trial := env
		trial.Metrics = nil
		_, _, err := kind.New(trial, decode)
		return nil, err
	}})
	return kind.New(env, decode)
}
