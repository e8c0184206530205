package counterparts

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/repo"
)

// nested is one program of a nested module.
type nested struct {
	name   string // of the binary, and in messages
	dir    string // of the module, below bridge/bridgetest
	pkg    string
	module string // whose version is reported
}

func hecReceiver() nested {
	return nested{"hecreceiver", "peers", "./hecreceiver", "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/splunkhecreceiver"}
}

func pebble() nested {
	return nested{"pebble", "pebble", ".", "github.com/letsencrypt/pebble/v2"}
}

// Pebble builds Let's Encrypt's test CA and returns the path of the binary; a test that can't have it fails.
func Pebble(t testing.TB) string {
	t.Helper()
	b, err := pebble().build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b.binary
}

type built struct{ binary, version string }

// build builds the program into the cache; the Go tool leaves one that is up to date alone.
func (n nested) build(ctx context.Context) (built, error) {
	root, err := repo.Root()
	if err != nil {
		return built{}, err
	}
	cache, err := repo.Cache("counterparts")
	if err != nil {
		return built{}, err
	}
	dir := filepath.Join(root, "bridge", "bridgetest", n.dir)
	b := built{binary: filepath.Join(cache, n.name)}
	if err := repo.Build(ctx, dir, n.pkg, b.binary, "-trimpath"); err != nil {
		return built{}, fmt.Errorf("%s can't be built (needs the Go module proxy): %w", n.name, err)
	}
	b.version, err = moduleVersion(ctx, dir, n.module)
	return b, err
}

func moduleVersion(ctx context.Context, dir, module string) (string, error) {
	text, err := repo.Output(ctx, dir, "go", "list", "-m", "-json", module)
	if err != nil {
		return "", err
	}
	var m struct{ Version string }
	err = json.NewDecoder(strings.NewReader(text)).Decode(&m)
	return m.Version, err
}
