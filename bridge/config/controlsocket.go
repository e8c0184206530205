package config

import (
	"path/filepath"
	"slices"

	"github.com/BurntSushi/toml"
)

// peek returns what table.key says in the first of files that has it, whatever else is in them; "" when none has.
func peek(files []File, table, key string) string {
	for _, f := range files {
		var all map[string]any
		if _, err := toml.Decode(string(f.Data), &all); err != nil {
			continue
		}
		if t, ok := all[table].(map[string]any); ok {
			if text, ok := t[key].(string); ok && text != "" {
				return text
			}
		}
	}
	return ""
}

// LogFormat is log.format of files: a logger is needed before they are judged. It is auto when they don't say it, or say what is none.
func LogFormat(files []File) string {
	if format := peek(files, "log", "format"); slices.Contains(logFormats(), format) {
		return format
	}
	return defaultLogFormat
}

// ControlSocket returns where a bridge that runs with the file at path has its control socket. It judges nothing and
// reads no secret, because an operator who asks for the status may not be allowed to: without a readable file it is
// the default.
func ControlSocket(path string, getenv func(string) string) string {
	files, _ := Read(path)
	if socket := peek(files, "admin", "socket"); socket != "" {
		return socket
	}
	return DefaultControlSocket(getenv)
}

// DefaultControlSocket is where it is when the configuration says nothing of it.
func DefaultControlSocket(getenv func(string) string) string {
	if dir := getenv("RUNTIME_DIRECTORY"); dir != "" {
		return filepath.Join(dir, "admin.sock")
	}
	return filepath.Join(defaultRuntimeDirectory, "admin.sock")
}
