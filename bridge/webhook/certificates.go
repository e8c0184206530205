package webhook

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/pemfile"
)

const (
	certificatePoll = 10 * time.Second // how often the files are looked at
	warningInterval = 24 * time.Hour
)

// files are the paths of a certificate, its key and, optionally, the CAs of client certificates.
type files struct{ cert, key, clientCA string }

// stamp is what a changed file changes: rename and rewriting in place both show.
type stamp struct {
	modified time.Time
	size     int64
	inode    uint64
}

type stamps [3]stamp

// certificates keeps the TLS configuration in step with its files. The last good one stays in use while newer files
// can't be used.
type certificates struct {
	log            *slog.Logger
	now            func() time.Time
	http2          bool // offered
	countHandshake func(tls.ConnectionState) error

	current atomic.Pointer[tls.Config]

	mu       sync.Mutex
	files    files
	seen     stamps // of the files when they were last read
	failed   string // the last error said
	warnedAt time.Time
}

// loadTLS reads f into a server's configuration.
func loadTLS(f files, http2 bool, onHandshake func(tls.ConnectionState) error) (*tls.Config, error) {
	pair, err := pemfile.KeyPair(f.cert, f.key)
	if err != nil {
		return nil, err
	}
	config := baseTLS(http2, onHandshake)
	config.Certificates = []tls.Certificate{pair}
	return config, requireClients(config, f.clientCA)
}

// baseTLS holds what every configuration shares: TLS 1.2 and 1.3 with Go's own choice of suites and curves. onHandshake, which may be nil, is told of
// each handshake that succeeds.
func baseTLS(http2 bool, onHandshake func(tls.ConnectionState) error) *tls.Config {
	protocols := []string{"http/1.1"}
	if http2 {
		protocols = []string{"h2", "http/1.1"}
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols, VerifyConnection: onHandshake}
}

// requireClients makes config ask for and verify client certificates when caFile is set.
func requireClients(config *tls.Config, caFile string) error {
	if caFile == "" {
		return nil
	}
	pool, err := pemfile.Pool(caFile)
	if err != nil {
		return fmt.Errorf("client CAs: %w", err)
	}
	config.ClientCAs, config.ClientAuth = pool, tls.RequireAndVerifyClientCert
	return nil
}

// leafNotAfter returns the end of the configuration's first certificate.
func leafNotAfter(config *tls.Config) time.Time {
	if config == nil || len(config.Certificates) == 0 || config.Certificates[0].Leaf == nil {
		return time.Time{}
	}
	return config.Certificates[0].Leaf.NotAfter
}

// prepare reads f and returns the function that puts it into use.
func (c *certificates) prepare(f files) (apply func(), err error) {
	seen := f.stamps()
	config, err := c.load(f)
	if err != nil {
		return nil, err
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.files, c.seen, c.failed, c.warnedAt = f, seen, "", time.Time{}
		c.current.Store(config)
		c.warnExpiry()
	}, nil
}

// poll reads the files again when they changed, and after a failure every time: a pair is not replaced in one step.
func (c *certificates) poll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.warnExpiry()
	seen := c.files.stamps()
	if seen == c.seen && c.failed == "" {
		return
	}
	config, err := c.load(c.files)
	c.seen = seen
	if err != nil {
		c.fail(err)
		return
	}
	c.failed, c.warnedAt = "", time.Time{}
	c.current.Store(config)
	c.log.Info("the certificate was read again", "file", c.files.cert, "not_after", leafNotAfter(config))
}

// load reads f, and refuses an expired certificate in place of one that is good. At the start any certificate is taken:
// an answer that senders distrust is easier to find than none.
func (c *certificates) load(f files) (*tls.Config, error) {
	config, err := loadTLS(f, c.http2, c.countHandshake)
	if err == nil && c.worse(config) {
		return nil, fmt.Errorf("certificate %s has expired, the one in use has not", f.cert)
	}
	return config, err
}

func (c *certificates) worse(config *tls.Config) bool {
	now := c.now()
	return leafNotAfter(config).Before(now) && leafNotAfter(c.current.Load()).After(now)
}

func (c *certificates) fail(err error) {
	if c.failed != err.Error() {
		c.log.Error("the changed certificate files can't be used, the last good ones stay in use", "error", err)
	}
	c.failed = err.Error()
}

// warnExpiry warns once a day of a certificate that ends soon.
func (c *certificates) warnExpiry() {
	now, end := c.now(), leafNotAfter(c.current.Load())
	if end.IsZero() || end.Sub(now) > pemfile.ExpiryNotice || now.Sub(c.warnedAt) < warningInterval {
		return
	}
	c.warnedAt = now
	logExpiry(c.log, now, end, c.files.cert)
}

func logExpiry(log *slog.Logger, now, end time.Time, what string) {
	if end.Before(now) {
		log.Error("the certificate has expired: LinuxGuard can't deliver", "event", "certificate_expiring", "certificate", what, "not_after", end)
		return
	}
	log.Warn("the certificate expires soon", "event", "certificate_expiring", "certificate", what, "not_after", end, "days_left", int(end.Sub(now).Hours()/24))
}

// watch polls until ctx ends.
func (c *certificates) watch(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.poll()
		}
	}
}

func (f files) stamps() stamps {
	return stamps{stampOf(f.cert), stampOf(f.key), stampOf(f.clientCA)}
}

// stampOf returns the zero stamp for a file that can't be looked at: it differs from any other, so that the
// file is read again when it is back.
func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{modified: info.ModTime(), size: info.Size(), inode: inodeOf(info)}
}
