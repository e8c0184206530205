// Package all is the one table from the name of a destination kind to its constructor. A new destination is one folder
// under outputs and one line here.
package all

import (
	"strings"

	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/file"
	"github.com/linuxguard/linuxguard-bridge/outputs/splunkhec"
	"github.com/linuxguard/linuxguard-bridge/outputs/syslog"
)

// Kinds returns every kind of destination, in the order of their names.
func Kinds() []outputs.Kind {
	return []outputs.Kind{
		file.Kind(),
		splunkhec.Kind(),
		syslog.Kind(),
	}
}

// Find returns the kind that a configuration calls name.
func Find(name string) (outputs.Kind, bool) {
	for _, k := range Kinds() {
		if k.Name == name {
			return k, true
		}
	}
	return outputs.Kind{}, false
}

// Names lists the kinds for a message.
func Names() string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, k.Name)
	}
	return strings.Join(names, ", ")
}
