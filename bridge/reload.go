package bridge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/display"
	"github.com/linuxguard/linuxguard-bridge/bridge/logging"
	"github.com/linuxguard/linuxguard-bridge/bridge/systemd"
)

// Reload reads the configuration file again and puts it into force: secrets, certificates, endpoints, limits, outputs,
// filters and the log level. Outputs whose table did not change go on undisturbed. When anything of the new file is
// wrong the old configuration stays in force, in full, and the error says why; what can't be changed while running is
// logged and reported, and the rest of the file is in force.
func (b *Bridge) Reload(ctx context.Context) error {
	b.reloading.Lock()
	defer b.reloading.Unlock()
	old := b.snapshot()
	if old.stopping {
		return errStopping
	}
	loaded, report := b.opts.Loader.Load(b.opts.Path)
	if loaded == nil {
		return b.reloadFailed(errors.Join(errNotLoaded, report.Err()))
	}
	needs, err := b.put(ctx, loaded)
	if err != nil {
		return b.reloadFailed(err)
	}
	needs = append(needs, restartNeeded(old.loaded.Config, loaded.Config)...)
	now := b.opts.Loader.Now()
	b.mu.Lock()
	b.state.loaded, b.state.loadedAt, b.state.warnings = loaded, now, b.warnings(report)
	b.state.lastReload, b.state.reloadError, b.state.restartNeeded = now, "", needs
	b.mu.Unlock()
	for _, w := range report.Warnings() {
		b.opts.Log.Warn("configuration", "problem", w.String())
	}
	if len(needs) > 0 {
		b.opts.Log.Warn("the new configuration has changes that need a restart", "event", "restart_needed", "keys", needs)
	}
	b.opts.Log.Info("reloaded", "event", "reloaded", "hash", loaded.Config.Hash)
	if note := systemd.CredentialsNote(b.credentials()); note != "" {
		b.opts.Log.Info("secrets that a reload does not renew", "note", note)
	}
	return nil
}

var errStopping = errors.New("the bridge is stopping")

// credentials are the names of what systemd handed over.
func (b *Bridge) credentials() []string {
	entries, err := os.ReadDir(b.opts.Loader.Getenv("CREDENTIALS_DIRECTORY"))
	if err != nil { // there are none
		return nil
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names
}

// put makes loaded the configuration in force: the receiver's part is prepared first, because it can refuse; only
// then anything is changed. needsRestart names what of the listener stays as it is.
func (b *Bridge) put(ctx context.Context, loaded *Loaded) (needsRestart []string, err error) {
	cfg := loaded.Config
	level, err := logging.ParseLevel(cfg.Log.Level)
	if err != nil {
		return nil, err
	}
	applyHandler, err := b.handler.Prepare(b.handlerOptions(cfg))
	if err != nil {
		return nil, fmt.Errorf("the receiver refuses the new configuration: %w", err)
	}
	applyServer, needsRestart, err := b.server.Prepare(b.serverOptions(cfg))
	if err != nil {
		return nil, fmt.Errorf("the listener refuses the new configuration: %w", err)
	}
	if err := b.outputs.apply(ctx, b.lifetime, cfg.Outputs, loaded.Outputs); err != nil {
		return nil, err
	}
	applyHandler()
	applyServer()
	b.queue.SetLimits(queueLimits(cfg))
	b.admin.SetAccess(adminAccess(cfg))
	b.absence.Set(watched(cfg))
	if b.opts.Level != nil {
		b.opts.Level.Set(level)
	}
	return needsRestart, nil
}

func (b *Bridge) reloadFailed(err error) error {
	b.mu.Lock()
	b.state.lastReload, b.state.reloadError = b.opts.Loader.Now(), display.Error(err)
	b.mu.Unlock()
	b.opts.Log.Error("the reload failed; the old configuration stays in force", "event", "reload_failed", "error", err)
	return err
}

// warnings are what status shows as such beside what it finds itself.
func (b *Bridge) warnings(report *config.Report) []string {
	texts := slices.Clone(b.standing)
	for _, p := range report.Warnings() {
		if !p.Live {
			texts = append(texts, p.String())
		}
	}
	return texts
}
