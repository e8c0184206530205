package systemd

import (
	"testing"
	"testing/fstest"
)

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	const service = "sys/fs/cgroup/system.slice/linuxguard-bridge.service/"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"no cgroup":       {nil, 0},
		"cgroup v1":       {map[string]string{"proc/self/cgroup": "4:memory:/system.slice\n"}, 0},
		"no limit":        {map[string]string{"proc/self/cgroup": "0::/system.slice/linuxguard-bridge.service\n", service + "memory.high": "max\n", service + "memory.max": "max\n"}, 0},
		"the unit's":      {map[string]string{"proc/self/cgroup": "0::/system.slice/linuxguard-bridge.service\n", service + "memory.high": "536870912\n", service + "memory.max": "805306368\n"}, 512 << 20},
		"the slice's":     {map[string]string{"proc/self/cgroup": "0::/system.slice/linuxguard-bridge.service\n", service + "memory.high": "536870912\n", "sys/fs/cgroup/system.slice/memory.max": "1048576\n"}, 1 << 20},
		"only the max":    {map[string]string{"proc/self/cgroup": "0::/system.slice/linuxguard-bridge.service\n", service + "memory.max": "1000\n"}, 1000},
		"a group of root": {map[string]string{"proc/self/cgroup": "0::/\n"}, 0},
	} {
		files := fstest.MapFS{}
		for path, text := range c.files {
			files[path] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := MemoryLimit(files); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
