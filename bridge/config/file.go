package config

import (
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
	"github.com/linuxguard/linuxguard-bridge/bridge/setting"
)

// The structs of this file are the configuration file as it is written: what each key takes and its default. The
// meaning of every key is explained in packaging/config.reference.toml.

// fileTable is the whole file.
type fileTable struct {
	Server   serverTable              `toml:"server"`
	Endpoint map[string]endpointTable `toml:"endpoint"`
	Queue    queueTable               `toml:"queue"`
	Dedupe   dedupeTable              `toml:"dedupe"`
	Admin    adminTable               `toml:"admin"`
	Log      logTable                 `toml:"log"`
	Output   map[string]outputTable   `toml:"output"`
}

type serverTable struct {
	Listen         []string     `toml:"listen"`
	TLSCert        string       `toml:"tls_cert"`
	TLSKey         string       `toml:"tls_key"`
	ClientCAFile   string       `toml:"client_ca_file"`
	Plaintext      bool         `toml:"plaintext"`
	TrustedProxies []string     `toml:"trusted_proxies"`
	Allow          []string     `toml:"allow"`
	MaxBodyBytes   setting.Size `toml:"max_body_bytes"`
	MaxConnections int          `toml:"max_connections"`
	StateDirectory string       `toml:"state_directory"`
	HTTP2          bool         `toml:"http2"`
	ACME           *acmeTable   `toml:"acme"`
}

type acmeTable struct {
	Domains      []string `toml:"domains"`
	Email        string   `toml:"email"`
	DirectoryURL string   `toml:"directory_url"`
	CAFile       string   `toml:"ca_file"`
	HTTPListen   string   `toml:"http_listen"`
}

type endpointTable struct {
	Path            string                  `toml:"path"`
	Secrets         []secret.Ref            `toml:"secrets"`
	RequiredHeaders map[string][]secret.Ref `toml:"required_headers"`
	Tenants         []string                `toml:"tenants"`
	MaxAge          time.Duration           `toml:"max_age"`
	ClockSkew       time.Duration           `toml:"clock_skew"`
	ExpectEvery     optionalDuration        `toml:"expect_every"`
	ExpectEvent     bool                    `toml:"expect_event"`
}

func (e *endpointTable) setDefaults() { e.MaxAge, e.ClockSkew = 24*time.Hour, 5*time.Minute }

type queueTable struct {
	Directory          string       `toml:"directory"`
	MaxBytes           setting.Size `toml:"max_bytes"`
	QuarantineMaxBytes setting.Size `toml:"quarantine_max_bytes"`

	Keep optionalDuration `toml:"keep"`

	Kind         string        `toml:"kind"`
	URL          string        `toml:"url"`
	Password     secret.Ref    `toml:"password"`
	ClientCert   string        `toml:"client_cert"`
	ClientKey    string        `toml:"client_key"`
	CAFile       string        `toml:"ca_file"`
	Schema       string        `toml:"schema"`
	ReplicatedBy string        `toml:"replicated_by"`
	BridgeName   string        `toml:"bridge_name"`
	Takeover     time.Duration `toml:"takeover"`
	Pooler       bool          `toml:"pooler"`
}

type dedupeTable struct {
	Capacity int           `toml:"capacity"`
	Window   time.Duration `toml:"window"`
}

type adminTable struct {
	Listen       string     `toml:"listen"`
	Socket       string     `toml:"socket"`
	TLSCert      string     `toml:"tls_cert"`
	TLSKey       string     `toml:"tls_key"`
	Username     string     `toml:"username"`
	Password     secret.Ref `toml:"password"`
	AllowedHosts []string   `toml:"allowed_hosts"`
}

type logTable struct {
	Level  string `toml:"level"`
	Format string `toml:"format"`
}

// outputTable is what every kind of output has; the kind knows the other keys of its table.
type outputTable struct {
	Type     string     `toml:"type"`
	WhenFull string     `toml:"when_full"`
	StartAt  string     `toml:"start_at"`
	Match    matchTable `toml:"match"`
}

func (o *outputTable) setDefaults() { o.WhenFull, o.StartAt = "block", "now" }

type matchTable struct {
	MinSeverity int                 `toml:"min_severity"`
	SignalType  []string            `toml:"signal_type"`
	Environment []string            `toml:"environment"`
	Endpoint    []string            `toml:"endpoint"`
	Header      map[string][]string `toml:"header"`
}

// newFileTable returns the defaults.
func newFileTable() fileTable {
	return fileTable{
		Server: serverTable{
			Listen:         []string{"0.0.0.0:8443"},
			MaxBodyBytes:   1 << 20,
			MaxConnections: 256,
		},
		Queue: queueTable{MaxBytes: 2 << 30, QuarantineMaxBytes: 256 << 20, Kind: "local", Schema: "linuxguard_bridge", ReplicatedBy: "standby",
			Takeover: 5 * time.Second},
		Dedupe: dedupeTable{Capacity: 1_000_000, Window: 72 * time.Hour},
		Admin:  adminTable{Listen: "127.0.0.1:9464"},
		Log:    logTable{Level: "info", Format: defaultLogFormat},
	}
}

// optionalDuration is a duration that "" turns off.
type optionalDuration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *optionalDuration) UnmarshalText(text []byte) error {
	*d = 0
	if len(text) == 0 {
		return nil
	}
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return errors.New(`must be a duration such as "1h", or "" for none`)
	}
	*d = optionalDuration(parsed)
	return nil
}

// KeysOf lists the dotted keys that a settings struct (or a pointer to one) takes, sorted; NAME stands for a key that
// the operator chooses. It is for tests and documentation that must know every key.
func KeysOf(settings any) []string {
	t := reflect.TypeOf(settings)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	keys := appendKeys(nil, nil, t)
	slices.Sort(keys)
	return keys
}

// Keys lists the dotted keys of the configuration file except those that only one kind of output has.
func Keys() []string { return KeysOf(fileTable{}) }

func appendKeys(keys []string, at keyPath, t reflect.Type) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Struct && len(fieldsOf(t)) > 0:
		for _, f := range fieldsOf(t) {
			keys = appendKeys(keys, at.key(f.name), f.typ)
		}
		return keys
	case t.Kind() == reflect.Map:
		return appendKeys(keys, at.key("NAME"), t.Elem())
	default:
		return append(keys, at.String())
	}
}

// tablesOf maps each key of the file to the tables that have it, as a header is written: [endpoint.NAME].
func tablesOf() map[string][]string {
	tables := map[string][]string{}
	var walk func(at keyPath, t reflect.Type)
	walk = func(at keyPath, t reflect.Type) {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch {
		case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Struct:
			walk(at.key("NAME"), t.Elem())
		case t.Kind() == reflect.Struct:
			for _, f := range fieldsOf(t) {
				if len(at) > 0 {
					tables[f.name] = append(tables[f.name], "["+at.String()+"]")
				}
				walk(at.key(f.name), f.typ)
			}
		}
	}
	walk(nil, reflect.TypeFor[fileTable]())
	return tables
}
