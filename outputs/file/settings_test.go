package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/setting"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	a := &appender{path: "/x"}
	for err, blocks := range map[error]bool{
		syscall.EACCES: true, syscall.EROFS: true, syscall.ENOTDIR: true, errNotRegular: true,
		syscall.ENOSPC: false, syscall.EIO: false, syscall.EDQUOT: false, fs.ErrNotExist: false,
	} {
		var blocked *outputs.BlockedError
		if got := a.classify(fmt.Errorf("open: %w", err)); errors.As(got, &blocked) != blocks || !errors.Is(got, err) {
			t.Errorf("%v: %#v", err, got)
		}
	}
}

func TestModeAndFolder(t *testing.T) {
	t.Parallel()
	for table, want := range map[string]fs.FileMode{`mode = "0600"`: 0o600, ``: 0o640, `mode = "0664"`: 0o664} {
		path := filepath.Join(t.TempDir(), "a", "b", "c.ndjson")
		env, _ := outputtest.Env(t, nil)
		out, _, err := outputtest.Build(Kind(), env, fmt.Sprintf("path = %q\n%s", path, table))
		if err != nil {
			t.Fatal(err)
		}
		mustSend(t, out.(*output), 1, 1)
		if err := out.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v", table, info.Mode(), err)
		}
		if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm()&0o027 != 0 {
			t.Errorf("folder %v %v", info.Mode(), err)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for table, key := range map[string]string{
		``: "path", `path = "signals.ndjson"`: "path", fmt.Sprintf(`path = %q`, dir): "path", fmt.Sprintf(`path = %q`, fifo): "path",
		`path = "-"` + "\nformat = \"xml\"": "format", `path = "-"` + "\nmode = \"rw\"": "mode", `path = "-"` + "\nmode = \"0755\"": "mode",
		`path = "-"` + "\nformat = \"rfc5424\"\nfacility = \"security\"":        "facility",
		`path = "-"` + "\nformat = \"hec\"\nsourcetype = \"linuxguard:bridge\"": "sourcetype",
	} {
		env, _ := outputtest.Env(t, nil)
		_, _, err := outputtest.Build(Kind(), env, table)
		var keyed *outputs.KeyError
		if !errors.As(err, &keyed) || keyed.Key != key {
			t.Errorf("%q: %v, want an error of %s", table, err, key)
		}
	}
	for _, format := range []string{"json", "rfc5424", "hec"} {
		env, _ := outputtest.Env(t, nil)
		out, _, err := outputtest.Build(Kind(), env, fmt.Sprintf("path = \"-\"\nformat = %q", format))
		if err != nil {
			t.Fatal(err)
		}
		line, err := out.(outputs.Renderer).Render(outputtest.Records(t, 5, 1)[0])
		prefix := map[string]string{"json": `{"tenant_id"`, "rfc5424": "<11>1 ", "hec": `{"time":`}[format]
		if err != nil || !strings.HasPrefix(string(line), prefix) {
			t.Errorf("%s: %s, %v", format, line, err)
		}
	}
}

func TestSyslogKeys(t *testing.T) {
	t.Parallel()
	for table, want := range map[string]string{
		`facility = 16` + "\nenterprise_id = 99999\napp_name = \"guard\"": "<131>1 2026-03-02T14:32:01Z web-01 guard - sudo_command_executed [linuxguard@99999 ",
		`facility = "local7"` + "\nenterprise_id = \"1.2\"":               "<187>1 2026-03-02T14:32:01Z web-01 linuxguard - sudo_command_executed [linuxguard@1.2 ",
	} {
		env, _ := outputtest.Env(t, nil)
		out, _, err := outputtest.Build(Kind(), env, "path = \"-\"\nformat = \"rfc5424\"\n"+table)
		if err != nil {
			t.Fatal(err)
		}
		line, err := out.(outputs.Renderer).Render(outputtest.Records(t, 5, 1)[0])
		if err != nil || !strings.HasPrefix(string(line), want) {
			t.Errorf("%s: %s, %v", table, line, err)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	o := newWith(&outputs.Env{}, settings{Path: setting.WriteFile(filepath.Join(b.TempDir(), "signals.ndjson")), mode: 0o640}, mapping.NewJSON().Append, openFile)
	batch := outputtest.Records(b, 1, 500)
	b.ReportAllocs()
	var all sync.WaitGroup
	for b.Loop() {
		all.Add(1)
		o.Send(context.Background(), batch, func(err error) {
			if err != nil {
				b.Error(err)
			}
			all.Done()
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N*len(batch))/b.Elapsed().Seconds(), "records/s")
	if err := o.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}
