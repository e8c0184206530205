package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"

	"github.com/linuxguard/linuxguard-bridge/bridge/pemfile"
	"github.com/linuxguard/linuxguard-bridge/bridge/permission"
	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
	"github.com/linuxguard/linuxguard-bridge/bridge/setting"
)

// references are what the settings of one output refer to outside of the file, by their types.
type references struct {
	outside map[string]string // secrets and files that are read, to the hash of what they hold
	writes  []writtenFile

	settings reflect.Value // the kind's own, invalid until they are decoded
}

// writtenFile is one file that an output writes.
type writtenFile struct {
	at   keyPath
	path setting.WriteFile
}

// fingerprint hashes an output's table together with everything outside of the file that its settings refer to.
func (l *loader) fingerprint(name string, table map[string]any, refs *references) string {
	text, err := json.Marshal([]any{name, table, refs.outside})
	if err != nil { // NaN and infinity, which no output takes
		text = []byte(err.Error())
	}
	return digest(text)
}

// refer collects what settings, a struct or a part of one, refer to, and judges whether the service can use it.
func (l *loader) refer(at keyPath, v reflect.Value, refs *references) {
	switch value := v.Interface().(type) {
	case secret.Ref:
		if value.IsValid() {
			refs.outside[string(value)] = l.digestOfSecret(value)
			l.warnUnseen(at, value)
		}
		return
	case setting.ReadFile:
		if value != "" {
			refs.outside[string(value)] = digestOfFile(string(value))
			l.canRead(at, string(value))
		}
		return
	case setting.WriteFile:
		if value != "" && value != setting.Stdout {
			refs.writes = append(refs.writes, writtenFile{at, value})
			l.canWrite(at, string(value), permission.Write)
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			l.refer(at, v.Elem(), refs)
		}
	case reflect.Struct:
		for _, f := range fieldsOf(v.Type()) {
			l.refer(at.key(f.name), v.FieldByIndex(f.index), refs)
		}
	case reflect.Slice:
		for i := range v.Len() {
			l.refer(at.index(i), v.Index(i), refs)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			l.refer(at.key(it.Key().String()), it.Value(), refs)
		}
	}
}

func (l *loader) digestOfSecret(ref secret.Ref) string {
	value, err := l.opts.Resolver.Resolve(ref)
	if err != nil {
		return err.Error()
	}
	return digest([]byte(value.Reveal()))
}

func digestOfFile(path string) string {
	data, err := pemfile.Read(path)
	if err != nil {
		return err.Error()
	}
	return digest(data)
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
