package bridgetest

import (
	_ "embed"
	"os"
	"strings"
	"text/template"
)

//go:embed config.toml.tmpl
var configTemplate string

// EndpointPath is where the daemon under test receives.
const EndpointPath = "/webhooks/linuxguard"

// settings fills the template.
type settings struct {
	Options
	Listen           string
	Cert, Key        string
	SecretFile       string
	QueueDir, Socket string
	EndpointPath     string
}

func (s settings) write(path string) error {
	text, err := template.New("config").Parse(configTemplate)
	if err != nil {
		return err
	}
	var b strings.Builder
	if err := text.Execute(&b, s); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(b.String()), 0o600)
}
