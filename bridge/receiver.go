package bridge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/pemfile"
	"github.com/linuxguard/linuxguard-bridge/bridge/webhook"
)

// adminSocketName is the FileDescriptorName= of a socket unit for the admin listener; every other name is a webhook
// listener.
const adminSocketName = "admin"

func (b *Bridge) startReceiver(ctx context.Context) error {
	cfg := b.state.loaded.Config
	handler, err := webhook.NewHandler(b.handlerOptions(cfg))
	if err != nil {
		return fmt.Errorf("setting up the receiver: %w", err)
	}
	opts := b.serverOptions(cfg)
	if usesSystemd(cfg) {
		if opts.Listeners = b.sockets(func(name string) bool { return name != adminSocketName }); len(opts.Listeners) == 0 {
			return errors.New(`server.listen is ["systemd"] but systemd handed over no socket: enable linuxguard-bridge.socket, or name an address`)
		}
	}
	server, err := webhook.NewServer(opts, handler) //nolint:contextcheck // its own goroutines begin in Start
	if err != nil {
		return fmt.Errorf("setting up the listener: %w", err)
	}
	b.handler, b.server = handler, server
	if err := b.registry.Register(handler); err != nil {
		return err
	}
	if err := server.Start(ctx); err != nil {
		return err
	}
	b.deferStop(server.Shutdown)
	return nil
}

// dropUnusedSockets closes the sockets that systemd has handed over and that nobody listens on by cfg, at the start, and says which: systemd
// holds their ports all the same, so that whoever connects there waits without an answer.
func (b *Bridge) dropUnusedSockets(cfg *config.Config) []string {
	if usesSystemd(cfg) {
		return nil
	}
	var texts []string
	for _, s := range b.opts.Sockets {
		if s.Name == adminSocketName {
			continue
		}
		_ = s.Close()
		text := fmt.Sprintf("systemd holds the socket %s at %s, but server.listen is not [\"systemd\"]: connections to it hang; "+
			"disable the socket unit (systemctl disable --now linuxguard-bridge.socket), or set listen = [\"systemd\"] and restart", s.Name, s.Addr())
		b.opts.Log.Warn("a socket unit is active, but its socket is not used", "problem", text)
		texts = append(texts, text)
	}
	return texts
}

func usesSystemd(cfg *config.Config) bool {
	return len(cfg.Server.Listen) == 1 && cfg.Server.Listen[0] == "systemd"
}

func (b *Bridge) sockets(wanted func(name string) bool) []net.Listener {
	var found []net.Listener
	for _, s := range b.opts.Sockets {
		if wanted(s.Name) {
			found = append(found, s.Listener)
		}
	}
	return found
}

func (b *Bridge) handlerOptions(cfg *config.Config) webhook.Options {
	return webhook.Options{
		Endpoints: endpoints(cfg), KeepHeaders: keptHeaders(cfg), TrustedProxies: cfg.Server.TrustedProxies,
		Allow: cfg.Server.Allow, MaxBodyBytes: cfg.Server.MaxBodyBytes, Window: cfg.Dedupe.Window,
		Queue: b.queue, Bridge: bridgeName(cfg), Log: b.opts.Log, Now: b.opts.Loader.Now, Tail: &b.tail,
	}
}

func (b *Bridge) serverOptions(cfg *config.Config) webhook.ServerOptions {
	o := webhook.ServerOptions{
		TLSCert: cfg.Server.TLSCert, TLSKey: cfg.Server.TLSKey, ClientCAFile: cfg.Server.ClientCAFile,
		Plaintext: cfg.Server.Plaintext, TrustedProxies: cfg.Server.TrustedProxies, MaxConnections: cfg.Server.MaxConnections,
		StateDirectory: cfg.Server.StateDirectory, HTTP2: cfg.Server.HTTP2, Log: b.opts.Log, Now: b.opts.Loader.Now,
		Metrics: b.registry,
	}
	if !usesSystemd(cfg) {
		o.Listen = cfg.Server.Listen
	}
	if a := cfg.Server.ACME; a != nil {
		o.ACME = &webhook.ACME{Domains: a.Domains, Email: a.Email, DirectoryURL: a.DirectoryURL, CAFile: a.CAFile, HTTPListen: a.HTTPListen}
	}
	return o
}

func (b *Bridge) startAdmin(ctx context.Context) error {
	cfg := b.state.loaded.Config
	b.admin = admin.New(admin.Options{
		Source: b, Queue: b.queue, Metrics: b.registry, Log: b.opts.Log, Now: b.opts.Loader.Now, Access: adminAccess(cfg),
		Reload: b.AskReload, Tail: &b.tail,
	})
	if err := b.registry.Register(admin.NewCollector(b, b.queue, b.opts.Loader.Now)); err != nil {
		return err
	}
	control, err := admin.ListenControl(ctx, cfg.Admin.Socket)
	if err != nil {
		return err
	}
	b.untilStop(b.admin.Record)                                   //nolint:contextcheck // until Stop, not until the end of the start
	b.serveAdmin("control socket", control, b.admin.ServeControl) //nolint:contextcheck // until Stop, not until the end of the start
	for _, l := range b.sockets(func(name string) bool { return name == adminSocketName }) {
		if err := admin.CheckExposure(l.Addr(), false, !cfg.Admin.Password.IsZero()); err != nil {
			return err
		}
		b.serveAdmin("admin listener", l, b.admin.Serve) //nolint:contextcheck // as above
	}
	if cfg.Admin.Listen == "" {
		return nil
	}
	tlsConfig, err := adminTLS(cfg)
	if err != nil {
		return err
	}
	l, err := admin.Listen(ctx, cfg.Admin.Listen, tlsConfig, !cfg.Admin.Password.IsZero())
	if err != nil {
		return err
	}
	b.opts.Log.Info("admin listening", "address", l.Addr().String())
	b.serveAdmin("admin listener", l, b.admin.Serve) //nolint:contextcheck // as above
	return nil
}

// serveAdmin runs one door of the admin server until Stop. The bridge goes on without it: it forwards all the same.
func (b *Bridge) serveAdmin(what string, l net.Listener, serve func(context.Context, net.Listener) error) {
	b.untilStop(func(ctx context.Context) {
		if err := serve(ctx, l); err != nil {
			b.opts.Log.Error("an admin listener has failed", "listener", what, "error", err)
		}
	})
}

// untilStop runs something in the background until Stop.
func (b *Bridge) untilStop(run func(context.Context)) {
	ctx, end := context.WithCancel(b.lifetime)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		run(ctx)
	}()
	b.deferStop(func(context.Context) error {
		end()
		<-ended
		return nil
	})
}

func adminAccess(cfg *config.Config) admin.Access {
	return admin.Access{AllowedHosts: cfg.Admin.AllowedHosts, Username: cfg.Admin.Username, Password: cfg.Admin.Password}
}

func adminTLS(cfg *config.Config) (*tls.Config, error) {
	if cfg.Admin.TLSCert == "" {
		return nil, nil
	}
	pair, err := pemfile.KeyPair(cfg.Admin.TLSCert, cfg.Admin.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("admin.tls_cert: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// checkQueue is the committer's sign of life for the watchdog.
func (b *Bridge) checkQueue(ctx context.Context) error { return b.queue.Ping(ctx) }

// checkReceiver is the listeners' sign of life.
func (b *Bridge) checkReceiver(ctx context.Context) error { return b.server.Probe(ctx) }
