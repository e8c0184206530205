package config

import (
	"path/filepath"

	"github.com/BurntSushi/toml"
)

// ControlSocket returns where a bridge that runs with the file at path has its control socket. It judges nothing and
// reads no secret, because an operator who asks for the status may not be allowed to: without a readable file it is
// the default.
func ControlSocket(path string, getenv func(string) string) string {
	var file struct {
		Admin struct {
			Socket string `toml:"socket"`
		} `toml:"admin"`
	}
	if _, err := toml.DecodeFile(path, &file); err == nil && file.Admin.Socket != "" {
		return file.Admin.Socket
	}
	if dir := getenv("RUNTIME_DIRECTORY"); dir != "" {
		return filepath.Join(dir, "admin.sock")
	}
	return filepath.Join(defaultRuntimeDirectory, "admin.sock")
}
