package splunkhec

import (
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// quiet swallows what net/http says about aborted handlers.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

func writeCA(t *testing.T, server *httptest.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// answerRaw reads a request and writes text.
func answerRaw(text string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = c.Read(make([]byte, 64<<10))
		go func() { _, _ = io.Copy(io.Discard, c) }()
		_, _ = io.WriteString(c, text)
		time.Sleep(time.Second) // on fake time: until the client has read it
		_ = c.Close()
	}
}

func dump(s Settings) string { return strings.ReplaceAll(fmt.Sprintf("%+v", s), " ", "\n") }

// settingKeys lists the TOML keys of Settings.
func settingKeys() []string {
	var keys []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Settings]()) {
		if key := f.Tag.Get("toml"); key != "" {
			keys = append(keys, key)
		}
	}
	return keys
}
