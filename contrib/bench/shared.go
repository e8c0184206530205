package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/postgres"
	queuepostgres "github.com/linuxguard/linuxguard-bridge/bridge/queue/postgres"
)

const sharedDatabase = "linuxguard_bridge"

// servers is a primary with its synchronous standby on this machine, of one run. Their CPU is not counted as the bridge's.
type servers struct{ primary, standby *postgres.Server }

// startServers makes an empty shared queue and returns the [queue] table for it.
func startServers(ctx context.Context) (s *servers, table string, err error) {
	s = &servers{}
	defer func() {
		if err != nil {
			s.remove()
		}
	}()
	if s.primary, err = postgres.New(ctx, postgres.Options{}); err != nil {
		return s, "", err
	}
	if err = s.primary.Start(ctx); err != nil {
		return s, "", err
	}
	if err = s.primary.Exec(ctx, "postgres", "CREATE ROLE bridge LOGIN", "CREATE DATABASE "+sharedDatabase); err != nil {
		return s, "", err
	}
	connect, err := pgx.ParseConfig(s.primary.SocketURL(postgres.Superuser, sharedDatabase))
	if err != nil {
		return s, "", errors.New("the server's address can't be read")
	}
	if err = queuepostgres.Init(ctx, connect, sharedDatabase, "bridge", rand.Text()); err != nil {
		return s, "", err
	}
	if s.standby, err = s.primary.Standby(ctx); err != nil {
		return s, "", err
	}
	return s, fmt.Sprintf("kind = \"postgres\"\nurl = %q", s.primary.SocketURL("bridge", sharedDatabase)), nil
}

func (s *servers) remove() {
	for _, one := range []*postgres.Server{s.standby, s.primary} {
		if one != nil {
			one.Remove()
		}
	}
}
