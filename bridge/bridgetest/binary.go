package bridgetest

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/repo"
)

// Binary builds linuxguard-bridge into the repository's cache and returns its path.
func Binary(t testing.TB) string {
	t.Helper()
	return binaryWith(t, raceDetector)
}

// binaryWith is Binary with the race detector or without it: then its memory is the product's own.
func binaryWith(t testing.TB, race bool) string {
	t.Helper()
	if given := os.Getenv("LINUXGUARD_BINARY"); given != "" {
		return given
	}
	binary, err := buildBinary(t.Context(), race)
	if err != nil {
		t.Fatalf("build linuxguard-bridge: %v", err)
	}
	return binary
}

func buildBinary(ctx context.Context, race bool) (string, error) {
	root, err := repo.Root()
	if err != nil {
		return "", err
	}
	cache, err := repo.Cache("e2e")
	if err != nil {
		return "", err
	}
	name, flags := "linuxguard-bridge", []string{"-trimpath", "-tags=failpoints"} // see bridge/queuefs_failpoints.go
	if race {
		name, flags = name+"-race", append(flags, "-race")
	}
	binary := filepath.Join(cache, name)
	return binary, repo.Build(ctx, root, "./cmd/linuxguard-bridge", binary, flags...)
}
