package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// runFloor is the child process: "bench floor -file FILE [-filled] [-cert FILE -key FILE]". It prints its address and serves until it is ended.
func runFloor(args []string) {
	f := flag.NewFlagSet("floor", flag.ExitOnError)
	file := f.String("file", "", "floor 2: the `file` to append to; none: floor 1")
	filled := f.Bool("filled", false, "floor 3: fill the file beforehand, and begin again at its end")
	cert, key := f.String("cert", "", "serve TLS with this `file`"), f.String("key", "", "its key's `file`")
	_ = f.Parse(args)
	if err := serveFloor(*file, *filled, *cert, *key); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func serveFloor(file string, filled bool, cert, key string) error {
	h := &floor{}
	if file != "" {
		f, err := os.Create(filepath.Clean(file))
		if err != nil {
			return err
		}
		if filled {
			if h.size, err = fillFile(f); err != nil {
				return err
			}
		}
		h.commits = make(chan commit, 1024)
		go h.commitAll(f)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	if cert != "" {
		return http.ServeTLS(l, h, cert, key)
	}
	return http.Serve(l, h)
}

// floor is the least that a receiver can do.
type floor struct {
	commits chan commit
	size    int64 // of the file that was filled beforehand; 0: append
}

const sector = 512

// fillFile writes zeros for a minute's load or so.
func fillFile(f *os.File) (int64, error) {
	const size, piece = 256 << 20, 1 << 20
	zeros := make([]byte, piece)
	for at := int64(0); at < size; at += piece {
		if _, err := f.WriteAt(zeros, at); err != nil {
			return 0, err
		}
	}
	return size, f.Sync()
}

type commit struct {
	body []byte
	done chan error
}

func (h *floor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		http.Error(w, "body", http.StatusBadRequest)
		return
	}
	mac := hmac.New(sha256.New, []byte(hmacKey))
	mac.Write(body)
	want, _ := hex.DecodeString(strings.TrimPrefix(r.Header.Get("LinuxGuard-Signature"), "sha256="))
	if !hmac.Equal(mac.Sum(nil), want) {
		http.Error(w, "signature", http.StatusUnauthorized)
		return
	}
	if h.commits != nil {
		done := make(chan error, 1)
		h.commits <- commit{body, done}
		if err := <-done; err != nil {
			http.Error(w, "disk", http.StatusServiceUnavailable)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"result":"accepted"}`)
}

// commitAll appends whatever waits, syncs once and answers all of them.
func (h *floor) commitAll(f *os.File) {
	var buf []byte
	var waiting []commit
	at := int64(0)
	for c := range h.commits {
		buf, waiting = append(buf[:0], c.body...), append(waiting[:0], c)
		for more := true; more; {
			select {
			case c := <-h.commits:
				buf, waiting = append(buf, c.body...), append(waiting, c)
			default:
				more = false
			}
		}
		var err error
		if h.size == 0 {
			_, err = f.Write(buf)
		} else {
			for len(buf)%sector != 0 {
				buf = append(buf, 0)
			}
			if at+int64(len(buf)) > h.size {
				at = 0
			}
			_, err = f.WriteAt(buf, at)
			at += int64(len(buf))
		}
		if err == nil {
			err = unix.Fdatasync(int(f.Fd()))
		}
		for _, c := range waiting {
			c.done <- err
		}
	}
}
