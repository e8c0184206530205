// Package testcert writes the usual certificates of one test into files.
package testcert

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/throwaway"
)

// Set is the usual material of one test as files: an authority, one server and one client certificate of it.
type Set struct {
	Authority *throwaway.Authority
	Server    throwaway.Pair
	Client    throwaway.Pair

	CAFile                string
	ServerCert, ServerKey string
	ClientCert, ClientKey string
}

// NewSet writes ca.pem, server.pem, server.key, client.pem and client.key into dir. The server's certificate is good
// for localhost, 127.0.0.1 and hosts; the client's name is "client".
func NewSet(t testing.TB, dir string, hosts ...string) *Set {
	t.Helper()
	set, err := newSet(dir, append([]string{"localhost", "127.0.0.1"}, hosts...))
	if err != nil {
		t.Fatalf("make certificates: %v", err)
	}
	return set
}

func newSet(dir string, hosts []string) (*Set, error) {
	now := time.Now()
	authority, err := throwaway.NewAuthority(now)
	if err != nil {
		return nil, err
	}
	s := &Set{Authority: authority, CAFile: filepath.Join(dir, "ca.pem")}
	if err := os.WriteFile(s.CAFile, authority.PEM(), 0o600); err != nil {
		return nil, err
	}
	from, to := now.Add(-time.Hour), now.Add(60*24*time.Hour)
	if s.Server, err = authority.Issue(from, to, hosts...); err != nil {
		return nil, err
	}
	if s.ServerCert, s.ServerKey, err = s.Server.WriteFiles(dir, "server"); err != nil {
		return nil, err
	}
	if s.Client, err = authority.Issue(from, to, "client"); err != nil {
		return nil, err
	}
	s.ClientCert, s.ClientKey, err = s.Client.WriteFiles(dir, "client")
	return s, err
}
