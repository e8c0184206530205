package admin

import "testing"

func TestAllowed(t *testing.T) {
	t.Parallel()
	owner := socketOwner{uid: 900, gid: 901}
	nobody := socketOwner{uid: overflowID, gid: overflowID}
	unknown := socketOwner{uid: overflowID, gid: overflowID, namespaced: true}
	anybody := Peer{UID: overflowID, GID: overflowID, Groups: []uint32{overflowID}}
	if !anybody.allowed(nobody) || anybody.allowed(unknown) {
		t.Error("the overflow user is somebody on the host, and nobody in particular in a user namespace")
	}
	for name, c := range map[string]struct {
		peer Peer
		want bool
	}{
		"root":              {Peer{UID: 0, GID: 5}, true},
		"service":           {Peer{UID: 900, GID: 5}, true},
		"primary group":     {Peer{UID: 65534, GID: 901}, true},
		"member":            {Peer{UID: 65534, GID: 65534, Groups: []uint32{1, 901}}, true},
		"stranger":          {Peer{UID: 1000, GID: 1000, Groups: []uint32{1000, 900}}, false},
		"group 0":           {Peer{UID: 1000, GID: 0, Groups: []uint32{0}}, false},
		"overflow user":     {Peer{UID: 65534, GID: 65534, Groups: []uint32{65534}}, false},
		"nothing but a pid": {Peer{PID: 1, UID: 1}, false},
	} {
		if got := c.peer.allowed(owner); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWithoutAPeerNothingIsAllowed(t *testing.T) {
	t.Parallel()
	if peerOf(t.Context()).refused == nil {
		t.Error("a request without a peer is allowed")
	}
	if p := identify(nil, socketOwner{}); p.refused == nil {
		t.Error("no connection is allowed")
	}
}
