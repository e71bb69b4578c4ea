package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"cardinal/internal/replica"
	"cardinal/ocsp"
)

// A serving process holds its replica's lock. verify reads the file through a Unix socket that only
// the folder's owner can open: the server sends a consistent copy while it goes on. By the same socket
// it is told that its access rules have changed.

func (f folder) replicaSocket() string { return filepath.Join(string(f), "replica.sock") }

// serveReplica sends copies of the replica, and takes other access rules.
func (n *node) serveReplica() error {
	os.Remove(n.folder.replicaSocket()) // left by a process that was killed; the replica's lock tells of one that runs
	l, err := net.Listen("unix", n.folder.replicaSocket())
	if err != nil {
		return usage("listening for verify", err)
	}
	if err := os.Chmod(n.folder.replicaSocket(), 0o600); err != nil {
		return errors.Join(err, l.Close())
	}
	handlers := http.NewServeMux()
	handlers.HandleFunc("GET /{$}", n.copyReplica)
	handlers.HandleFunc("POST "+accessPath, n.answerReload)
	n.serveHTTP("replica copies", l, handlers)
	return nil
}

func (n *node) copyReplica(w http.ResponseWriter, r *http.Request) {
	snapshot, err := n.read.replica.Begin(n.read.table.Name())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer snapshot.Release()
	transaction := snapshot.Bucket().Tx()
	w.Header().Set("Content-Length", fmt.Sprint(transaction.Size()))
	if _, err := transaction.WriteTo(w); err != nil {
		n.logger.Warn("copying the replica", "error", err) // whoever asked sees a short copy
	}
}

// openLive opens the replica in use: the file itself, or a copy written to path when a serving
// process holds it. It returns nil when there is none yet.
func (v *verifier) openLive(ctx context.Context, path string) (*replica.File, error) {
	if _, err := os.Stat(v.folder.replica()); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	err := v.askCopy(ctx, path)
	if err == nil {
		return replica.OpenFile(path)
	}
	if isUnreachable(err) { // nobody serves: the file is free
		return replica.OpenFile(v.folder.replica())
	}
	return nil, err
}

func (v *verifier) askCopy(ctx context.Context, path string) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", v.folder.replicaSocket())
	}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://folder/", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("asking the serving process for its replica: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("asking the serving process for its replica: %s", response.Status)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	copied, err := io.Copy(file, response.Body)
	if err == nil && copied != response.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("receiving the replica: %w", err)
	}
	return nil
}

// appliers are the names of what a replica holds.
func (v *verifier) appliers() []string { return []string{ocsp.NewTable().Name(), "directory"} }
