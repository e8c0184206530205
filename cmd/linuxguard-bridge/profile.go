package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
)

// profileVariable names a folder for profiles of the whole run; "make bench" sets it. It is no part of the
// configuration because a profile is a tool of the bridge's developers.
const profileVariable = "LINUXGUARD_BRIDGE_PROFILE"

// startProfile begins to profile into folder, when there is one, and returns what ends it.
func startProfile(folder string) (stop func(), err error) {
	if folder == "" {
		return func() {}, nil
	}
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return nil, fmt.Errorf("profiling: %w", err)
	}
	f, err := os.Create(filepath.Join(folder, "cpu.pprof")) //nolint:gosec // the operator names the folder
	if err != nil {
		return nil, fmt.Errorf("profiling: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("profiling: %w", err), f.Close())
	}
	runtime.SetMutexProfileFraction(100)
	runtime.SetBlockProfileRate(100_000)
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
		for _, name := range []string{"allocs", "heap", "mutex", "block"} {
			writeProfile(folder, name)
		}
	}, nil
}

func writeProfile(folder, name string) {
	f, err := os.Create(filepath.Join(folder, name+".pprof")) //nolint:gosec // as above
	if err != nil {
		return
	}
	defer f.Close() //nolint:errcheck // a profile is worth no error
	_ = pprof.Lookup(name).WriteTo(f, 0)
}
