package main

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"cardinal/internal/journal"
	"cardinal/internal/journal/feed"
	"cardinal/internal/replica"
)

// Snapshots for new nodes are made of this node's own replica when one asks, and kept for others that come soon. They lie
// below replica/, which no backup takes.

const (
	// snapshotPart is how much of a copy is one part: what is lost when a transfer is cut.
	snapshotPart = 4 << 20
	// snapshotFresh is how long one is given to further nodes: an hour of the journal is followed quickly.
	snapshotFresh = time.Hour
	// snapshotsKept is how many of a scope stay, for nodes that are still fetching an older one.
	snapshotsKept = 2
	// snapshotTries is how often it is made anew when the copy stands within a transaction.
	snapshotTries = 50
)

// snapshots implements feed.Snapshots.
type snapshots struct {
	n      *node
	wanted chan feed.Scope
	mu     sync.Mutex
	making map[feed.Scope]bool
}

func newSnapshots(n *node) *snapshots {
	return &snapshots{n: n, wanted: make(chan feed.Scope, 8), making: map[feed.Scope]bool{}}
}

func (s *snapshots) dir(scope feed.Scope) string {
	return filepath.Join(filepath.Dir(s.n.folder.replica()), "snapshots", string(scope))
}

// Manifest implements feed.Snapshots.
func (s *snapshots) Manifest(_ context.Context, scope feed.Scope) ([]byte, error) {
	if uint64(s.n.read.replica.State().Position) < s.n.config.Feed.SnapshotFrom {
		return nil, journal.ErrNoContent
	}
	if newest := s.newest(scope); newest != "" {
		return os.ReadFile(newest)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.making[scope] {
		s.making[scope] = true
		s.wanted <- scope // one of each scope: there is room
	}
	return nil, feed.ErrNotYet
}

const manifestFile = "manifest"

// newest is the path of the newest manifest that is still fresh; "" if there is none.
func (s *snapshots) newest(scope feed.Scope) string {
	found, _ := filepath.Glob(filepath.Join(s.dir(scope), "*", manifestFile))
	path, at := "", time.Now().Add(-snapshotFresh)
	for _, f := range found {
		if info, err := os.Stat(f); err == nil && info.ModTime().After(at) && !strings.HasSuffix(filepath.Dir(f), ".part") {
			path, at = f, info.ModTime()
		}
	}
	return path
}

// Part implements feed.Snapshots.
func (s *snapshots) Part(scope feed.Scope, hash journal.Hash) (io.ReadCloser, error) {
	found, err := filepath.Glob(filepath.Join(s.dir(scope), "*", hash.String()))
	if err != nil || len(found) == 0 {
		return nil, errors.Join(journal.ErrNoContent, err)
	}
	file, err := os.Open(found[0])
	if errors.Is(err, fs.ErrNotExist) {
		return nil, journal.ErrNoContent
	}
	if err != nil {
		return nil, err
	}
	return file, nil
}

// run makes what is wanted until ctx ends.
func (s *snapshots) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case scope := <-s.wanted:
			begun := time.Now()
			made, err := s.make(ctx, scope)
			if size, raw := made.Size(); err == nil {
				s.n.logger.Info("made a snapshot for new nodes", "scope", scope, "position", made.Position, "bytes", size, "of", raw, "took", time.Since(begun).Round(time.Millisecond))
			} else if ctx.Err() == nil {
				s.n.logger.Error("making a snapshot", "scope", scope, "why", err)
			}
			s.mu.Lock()
			s.making[scope] = false
			s.mu.Unlock()
		}
	}
}

func (s *snapshots) make(ctx context.Context, scope feed.Scope) (feed.Snapshot, error) {
	half := filepath.Join(s.dir(scope), "next.part")
	if err := errors.Join(os.RemoveAll(half), makeFolders(half)); err != nil {
		return feed.Snapshot{}, err
	}
	p := &partWriter{dir: half}
	var image replica.Image
	var err error = replica.ErrBusy
	for range snapshotTries {
		if image, err = s.n.read.replica.WriteImage(ctx, p, scope != feed.Central); !errors.Is(err, replica.ErrBusy) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err = errors.Join(err, p.Close()); err != nil {
		return feed.Snapshot{}, errors.Join(err, os.RemoveAll(half))
	}
	made := feed.Snapshot{Epoch: image.Epoch, Position: image.Position, Link: image.Link, Time: image.Time, Kept: image.Kept, Parts: p.parts}
	for _, b := range image.Buckets {
		made.Buckets = append(made.Buckets, feed.SnapshotBucket(b))
	}
	manifest, err := made.Sign(s.n.certificate.current.Load())
	if err == nil {
		err = os.WriteFile(filepath.Join(half, manifestFile), manifest, 0o600)
	}
	if err == nil {
		name := fmt.Sprintf("%020d-%d", made.Position, time.Now().UnixMicro())
		err = os.Rename(half, filepath.Join(s.dir(scope), name))
	}
	return made, errors.Join(err, s.tidy(scope))
}

// tidy removes older snapshots.
func (s *snapshots) tidy(scope feed.Scope) error {
	found, err := filepath.Glob(filepath.Join(s.dir(scope), "*-*"))
	slices.Sort(found)
	for len(found) > snapshotsKept {
		err = errors.Join(err, os.RemoveAll(found[0]))
		found = found[1:]
	}
	return err
}

// partWriter cuts a stream into compressed files named by their hash.
type partWriter struct {
	dir     string
	raw     []byte
	parts   []feed.SnapshotPart
	deflate *flate.Writer
}

func (p *partWriter) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		k := min(len(b), snapshotPart-len(p.raw))
		p.raw = append(p.raw, b[:k]...)
		b = b[k:]
		if len(p.raw) == snapshotPart {
			if err := p.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// Close writes what is left.
func (p *partWriter) Close() error {
	if len(p.raw) == 0 {
		return nil
	}
	return p.flush()
}

func (p *partWriter) flush() error {
	var out bytes.Buffer
	if p.deflate == nil {
		p.deflate, _ = flate.NewWriter(&out, flate.BestSpeed) // fails for a level that is none
	}
	p.deflate.Reset(&out)
	_, err := p.deflate.Write(p.raw)
	if err = errors.Join(err, p.deflate.Close()); err != nil {
		return err
	}
	part := feed.SnapshotPart{Hash: sha256.Sum256(out.Bytes()), Size: uint64(out.Len()), Raw: uint64(len(p.raw))}
	p.raw = p.raw[:0]
	p.parts = append(p.parts, part)
	return os.WriteFile(filepath.Join(p.dir, part.Hash.String()), out.Bytes(), 0o600)
}
