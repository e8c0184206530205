package config

import (
	"path/filepath"
	"slices"

	"github.com/BurntSushi/toml"
)

// LogFormat is log.format of files, whatever else is in them: a logger is needed before they are judged. It is auto when they don't say it.
func LogFormat(files []File) string {
	for _, f := range files {
		var table struct {
			Log struct {
				Format string `toml:"format"`
			} `toml:"log"`
		}
		if _, err := toml.Decode(string(f.Data), &table); err == nil && slices.Contains(logFormats(), table.Log.Format) {
			return table.Log.Format
		}
	}
	return defaultLogFormat
}

// ControlSocket returns where a bridge that runs with the file at path has its control socket. It judges nothing and
// reads no secret, because an operator who asks for the status may not be allowed to: without a readable file it is
// the default.
func ControlSocket(path string, getenv func(string) string) string {
	files, _ := Read(path)
	for _, f := range files {
		var table struct {
			Admin struct {
				Socket string `toml:"socket"`
			} `toml:"admin"`
		}
		if _, err := toml.Decode(string(f.Data), &table); err == nil && table.Admin.Socket != "" {
			return table.Admin.Socket
		}
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
