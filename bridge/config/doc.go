// Package config reads the bridge's one TOML file into a checked, immutable Config and resolves the secrets in it.
//
//	file ──parse──▶ tree ──bind──▶ fileTable ──check──▶ Config
//	  │   (BurntSushi)      (bind.go)    │    (check_*.go)   │
//	  └─────locate──▶ line and column ───┴──▶ Report ◀───────┘
//	       (locate.go)     of every key
//
// The names of the keys are a contract; packaging/config.reference.toml explains each. Durations are Go's ("5m"), sizes are
// "64KiB", "2GiB" or plain bytes. Endpoints and outputs are named tables.
//
// Every problem of a file is reported at once, each with file, line, column and key, errors apart from warnings. The
// parser tells no positions and its own decoder stops at the first error, therefore the binder and the locator
// here. A Config exists only when there is no error.
//
// This package knows no kind of output: Options.Construct makes each from its own table by Output.Decode, and whatever
// it complains of is reported like the rest.
//
// A secret is written as a reference only (see bridge/secret). No text made here shows a value that could be one.
package config
