package outputtest

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
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

// Build makes an output of kind from its TOML table, as the configuration does. An unknown key is an error.
func Build(kind outputs.Kind, env outputs.Env, table string) (outputs.Output, []outputs.Warning, error) {
	return kind.New(env, func(settings any) error {
		meta, err := toml.Decode(table, settings)
		if err != nil {
			return err
		}
		if keys := meta.Undecoded(); len(keys) > 0 {
			names := make([]string, len(keys))
			for i, k := range keys {
				names[i] = k.String()
			}
			return errors.New("unknown keys: " + strings.Join(names, ", "))
		}
		return nil
	})
}
