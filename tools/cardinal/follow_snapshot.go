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
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"cardinal/internal/journal"
	"cardinal/internal/journal/feed"
	"cardinal/internal/replica"
)

// A new node begins with a snapshot: fetched part by part, each checked against its hash and kept until all are here, so
// that an interrupted node goes on where it was; then laid out at once. What it does not fit is no reason not to follow:
// the journal from its beginning gives the same copy.

const (
	// fetchers is how many parts are on their way at a time, so that the way is used while one is written.
	fetchers = 3
	// snapshotPoll is how often a node asks whether the snapshot is made.
	snapshotPoll = 500 * time.Millisecond
	// snapshotAnew is how often a node begins with another snapshot when the writer has its own no more.
	snapshotAnew = 3
)

// seed builds the replica at path of a snapshot, unless there is a replica.
func (fw *follower) seed(ctx context.Context, path string, appliers []replica.Applier) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s := &seeding{fw: fw, dir: filepath.Join(filepath.Dir(path), "snapshot"), logger: fw.app.logger(slog.LevelInfo)}
	for range snapshotAnew {
		err := s.run(ctx, path, appliers)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errNoSnapshot):
			return nil
		case err == nil, !errors.Is(err, journal.ErrNoContent):
			return s.settle(err)
		}
		s.logger.Warn("the writer has this snapshot no more: beginning with another", "why", err)
		if err := os.RemoveAll(s.dir); err != nil {
			return err
		}
	}
	return s.settle(journal.ErrNoContent)
}

var errNoSnapshot = errors.New("there is no snapshot")

// seeding is a replica being built of a snapshot.
type seeding struct {
	fw     *follower
	dir    string // of parts that are here
	logger *slog.Logger
	done   atomic.Uint64 // bytes of parts that are here
}

// settle ends seeding. What is no fault of the way leaves the journal to be followed; trouble on the way is the start's.
func (s *seeding) settle(err error) error {
	switch {
	case err == nil, errors.Is(err, replica.ErrOtherImage), errors.Is(err, replica.ErrImage), errors.Is(err, journal.ErrNoContent):
		if err != nil {
			s.logger.Warn("this node follows the journal from its beginning: the snapshot is of no use", "why", err)
		}
		return os.RemoveAll(s.dir)
	}
	return followProblem(fmt.Errorf("fetching the snapshot: %w", err))
}

func (s *seeding) run(ctx context.Context, path string, appliers []replica.Applier) error {
	snapshot, err := s.manifest(ctx)
	if err != nil {
		return err
	}
	image := replica.Image{Epoch: snapshot.Epoch, Position: snapshot.Position, Link: snapshot.Link, Time: snapshot.Time, Kept: snapshot.Kept}
	for _, b := range snapshot.Buckets {
		image.Buckets = append(image.Buckets, replica.ImageBucket(b))
	}
	if err := image.Fits(appliers); err != nil {
		return err
	}
	size, raw := snapshot.Size()
	begun := time.Now()
	if err := s.fetch(ctx, snapshot, size); err != nil {
		return err
	}
	fetched := time.Now()
	in := &partReader{dir: s.dir, parts: snapshot.Parts}
	if err := replica.BuildFromImage(path, appliers, image, in); err != nil {
		return err
	}
	s.logger.Info("built this node's replica of a snapshot", "position", snapshot.Position, "bytes", size, "of", raw,
		"fetched in", fetched.Sub(begun).Round(time.Millisecond), "laid out in", time.Since(fetched).Round(time.Millisecond))
	return nil
}

// manifest gives the snapshot that is being fetched, or asks for one.
func (s *seeding) manifest(ctx context.Context) (feed.Snapshot, error) {
	kept := filepath.Join(s.dir, manifestFile)
	raw, err := os.ReadFile(kept)
	if err != nil {
		if raw, err = s.askManifest(ctx); err != nil {
			return feed.Snapshot{}, err
		}
	}
	client := s.fw.client
	snapshot, err := feed.VerifySnapshot(raw, s.fw.roots, client.Host(), s.fw.now())
	if err != nil {
		return snapshot, errors.Join(err, os.RemoveAll(s.dir))
	}
	if err := makeFolders(s.dir); err != nil {
		return snapshot, err
	}
	return snapshot, replaceFile(kept, raw)
}

func (s *seeding) askManifest(ctx context.Context) ([]byte, error) {
	for said := false; ; said = true {
		raw, err := s.fw.client.SnapshotManifest(ctx)
		switch {
		case errors.Is(err, journal.ErrNoContent):
			return nil, errNoSnapshot
		case !errors.Is(err, feed.ErrNotYet):
			return raw, err
		}
		if !said {
			s.logger.Info("the writer is making a snapshot for this node")
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(snapshotPoll):
		}
	}
}

// fetch brings the parts that are not here yet.
func (s *seeding) fetch(ctx context.Context, snapshot feed.Snapshot, size uint64) error {
	telling, stop := context.WithCancel(ctx)
	defer stop()
	go s.tell(telling, size)
	var g errgroup.Group
	g.SetLimit(fetchers)
	for _, p := range snapshot.Parts {
		if _, err := os.Stat(filepath.Join(s.dir, p.Hash.String())); err == nil {
			s.done.Add(p.Size)
			continue
		}
		g.Go(func() error { return s.fetchPart(ctx, p) })
	}
	return g.Wait()
}

// tell logs how far it is, now and then.
func (s *seeding) tell(ctx context.Context, size uint64) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Second):
			s.logger.Info("fetching the snapshot", "bytes", s.done.Load(), "of", size)
		}
	}
}

// partTries is how often a part is asked for before the start fails; the next start goes on.
const partTries = 10

// fetchPart brings one part. It has its name when it is whole and what its name says.
func (s *seeding) fetchPart(ctx context.Context, p feed.SnapshotPart) (err error) {
	for try := range partTries {
		if err = s.tryPart(ctx, p); err == nil || ctx.Err() != nil || errors.Is(err, journal.ErrNoContent) || errors.Is(err, journal.ErrRefused) {
			return err
		}
		s.logger.Warn("fetching a part of the snapshot again", "part", p.Hash, "why", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(try) * 200 * time.Millisecond):
		}
	}
	return err
}

func (s *seeding) tryPart(ctx context.Context, p feed.SnapshotPart) error {
	in, err := s.fw.client.SnapshotPart(ctx, p.Hash)
	if err != nil {
		return err
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, int64(p.Size)+1))
	if err == nil && uint64(len(data)) != p.Size {
		err = fmt.Errorf("%d bytes instead of %d", len(data), p.Size)
	}
	if err != nil {
		return err
	}
	s.done.Add(p.Size)
	path := filepath.Join(s.dir, p.Hash.String())
	if err := os.WriteFile(path+".part", data, 0o600); err != nil { // the disk is not waited for: the parts are checked again
		return err
	}
	return os.Rename(path+".part", path)
}

// partReader joins the parts. Each is checked again: they may have lain on disk for long.
type partReader struct {
	dir   string
	parts []feed.SnapshotPart
	now   io.Reader
}

func (r *partReader) Read(p []byte) (int, error) {
	for {
		if r.now == nil {
			if len(r.parts) == 0 {
				return 0, io.EOF
			}
			if err := r.open(); err != nil {
				return 0, err
			}
		}
		n, err := r.now.Read(p)
		if errors.Is(err, io.EOF) {
			r.now, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (r *partReader) open() error {
	part := r.parts[0]
	r.parts = r.parts[1:]
	path := filepath.Join(r.dir, part.Hash.String())
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if journal.Hash(sha256.Sum256(data)) != part.Hash {
		return errors.Join(fmt.Errorf("part %s: %w", part.Hash, replica.ErrImage), os.Remove(path))
	}
	r.now = io.LimitReader(flate.NewReader(bytes.NewReader(data)), int64(part.Raw))
	return nil
}
