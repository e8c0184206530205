package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
)

// fingerprint hashes an output's table together with everything outside of the file that the table refers to:
// secrets, and the contents of files whose key ends in _file. A kind needs no code for that, as long as it names its
// keys so.
func (l *loader) fingerprint(name string, table map[string]any) string {
	outside := map[string]string{}
	l.referred(path("output", name), table, outside)
	text, err := json.Marshal([]any{name, table, outside})
	if err != nil { // NaN and infinity, which no output takes
		text = []byte(err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// referred collects what the values of a table refer to.
func (l *loader) referred(at keyPath, value any, outside map[string]string) {
	switch v := value.(type) {
	case map[string]any:
		for k, inner := range v {
			l.referred(at.key(k), inner, outside)
		}
	case []any:
		for i, inner := range v {
			l.referred(at.index(i), inner, outside)
		}
	case []map[string]any:
		for i, inner := range v {
			l.referred(at.index(i), inner, outside)
		}
	case string:
		if secret.Ref(v).IsValid() {
			outside[v] = l.digestOfSecret(secret.Ref(v))
			l.warnUnseen(at, secret.Ref(v))
		} else if strings.HasSuffix(at[len(at)-1], "_file") {
			outside[v] = digestOfFile(v)
		}
	}
}

func (l *loader) digestOfSecret(ref secret.Ref) string {
	value, err := l.opts.Resolver.Resolve(ref)
	if err != nil {
		return err.Error()
	}
	sum := sha256.Sum256([]byte(value.Reveal()))
	return hex.EncodeToString(sum[:])
}

func digestOfFile(path string) string {
	data, err := readRegular(path)
	if err != nil {
		return err.Error()
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
