package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/linuxguard/linuxguard-bridge/bridge/permission"
)

// conf.d beside the configuration file holds more of it.
const partsFolder = "conf.d"

// File is one file of a configuration.
type File struct {
	Name string // as reports call it
	Data []byte
	Mode fs.FileMode
}

// Read reads the file at path and then, from the folder conf.d beside it, every *.toml in the order of their names. Files whose names begin
// with a dot are left out, as editors leave such behind. The report is nil unless one can't be read.
func Read(path string) ([]File, *Report) {
	first, err := readFile(path)
	if err != nil {
		return nil, unreadable(path, path, err)
	}
	files := []File{first}
	folder := filepath.Join(filepath.Dir(path), partsFolder)
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, unreadable(path, folder, err)
	}
	for _, e := range entries {
		name := filepath.Join(folder, e.Name())
		if strings.HasPrefix(e.Name(), ".") || filepath.Ext(e.Name()) != ".toml" {
			continue
		}
		f, err := readFile(name)
		if err != nil {
			return nil, unreadable(path, name, err)
		}
		files = append(files, f)
	}
	return files, nil
}

// readFile reads one file; a pipe is no configuration, but the shell's <(...) is one.
func readFile(path string) (File, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the operator names the file on the command line
	if err != nil {
		return File{}, err
	}
	f := File{Name: path, Data: data}
	if info, err := os.Stat(path); err == nil {
		f.Mode = info.Mode()
	}
	return f, nil
}

func unreadable(first, path string, err error) *Report {
	p := Problem{Severity: Error, File: path, Text: "can't read the configuration file: " + permission.Reason(err).Error()}
	if errors.Is(err, fs.ErrPermission) {
		p.Hint = permission.Remedy(path, permission.Read)
	}
	return &Report{File: first, Problems: []Problem{p}}
}

// writable warns of a file that everybody can write.
func (f *File) writable() (Problem, bool) {
	if !f.Mode.IsRegular() || f.Mode.Perm()&0o002 == 0 {
		return Problem{}, false
	}
	return Problem{
		Severity: Warning, File: f.Name, Hint: "chmod o-w " + f.Name,
		Text: fmt.Sprintf("other users can write this file (mode %04o), and so read every signal", f.Mode.Perm()),
	}, true
}

// merge adds what one file holds to the whole: each table stands in one file only, each endpoint and each output being a table of its own.
func (l *loader) merge(tree map[string]any, at locations) {
	for _, key := range sortedKeys(tree) {
		named, isTable := tree[key].(map[string]any)
		if key != "endpoint" && key != "output" || !isTable {
			l.take(l.tree, path(key), key, tree[key], at)
			continue
		}
		all, ok := l.tree[key].(map[string]any)
		if !ok {
			if _, taken := l.tree[key]; taken { // no table, which is reported
				continue
			}
			all = map[string]any{}
			l.tree[key] = all
			l.at.add(at, path(key), false)
		}
		for _, name := range sortedKeys(named) {
			l.take(all, path(key, name), name, named[name], at)
		}
	}
}

// take puts one table, which at locates, into its place.
func (l *loader) take(into map[string]any, p keyPath, key string, value any, at locations) {
	if _, taken := into[key]; taken {
		there, here := l.at.find(p), at.find(p)
		l.report.Problems = append(l.report.Problems, Problem{
			Severity: Error, File: here.file, Line: here.line, Column: here.column, Key: p.String(), cause: true,
			Text: fmt.Sprintf("is in %s, line %d, already", there.file, there.line), Hint: "each table stands in one file only",
		})
		return
	}
	into[key] = value
	l.at.add(at, p, true)
}

// add takes over where p is, and with below what is in it.
func (l locations) add(from locations, p keyPath, below bool) {
	prefix := p.String()
	for key, at := range from {
		if key == prefix || below && (strings.HasPrefix(key, prefix+".") || strings.HasPrefix(key, prefix+"[")) {
			l[key] = at
		}
	}
}
