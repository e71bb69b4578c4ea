package replica_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

// The tape is an applier for tests. Each change leaves its position and body; a change of kind EntriesModified writes as
// many items as its body says, three at a time; a change of kind StatusChanged marks its body for ever, which no restore
// may undo.
type tape struct {
	name   string
	layout uint32

	mu        sync.Mutex
	committed []replica.State
	resets    int
	attached  *replica.Replica
	settle    func(b *replica.Batch) error
	unsettled bool
}

func newTape() *tape { return &tape{name: "tape", layout: 1} }

func (t *tape) Name() string   { return t.name }
func (t *tape) Layout() uint32 { return t.layout }

func (t *tape) Attach(r *replica.Replica) { t.attached = r }

func (t *tape) Committed(s replica.State) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.committed = append(t.committed, s)
}

func (t *tape) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.resets++
}

func key(p journal.Position) []byte { return binary.BigEndian.AppendUint64(nil, uint64(p)) }

const slice = 3

var errRefused = errors.New("refused by the tape")

func (t *tape) Apply(b *replica.Batch, c journal.Change) error {
	switch {
	case c.Version != 1:
		return replica.UnknownVersion(c)
	case c.Kind == journal.KindSecretsChanged:
		return errRefused
	case c.Kind == journal.KindEntriesModified:
		return t.many(b, c)
	case c.Kind == journal.KindStatusChanged:
		marks, err := b.Bucket().CreateBucketIfNotExists([]byte("marks"))
		if err != nil {
			return err
		}
		return marks.Put(c.Body, key(c.Position))
	}
	if b.Bucket().Get(key(c.Position)) != nil {
		return fmt.Errorf("position %d came twice", c.Position)
	}
	return b.Bucket().Put(key(c.Position), append([]byte{byte(c.Kind)}, c.Body...))
}

// many writes Body[0] items in slices, counting each write, so that an item written twice shows.
func (t *tape) many(b *replica.Batch, c journal.Change) error {
	items, err := b.Bucket().CreateBucketIfNotExists([]byte("many"))
	if err != nil {
		return err
	}
	at := items.Sequence()
	for range slice {
		if at == uint64(c.Body[0]) {
			break
		}
		k := append(key(c.Position), byte(at))
		n := byte(1)
		if v := items.Get(k); v != nil {
			n += v[0]
		}
		if err := items.Put(k, []byte{n}); err != nil {
			return err
		}
		at++
	}
	if at < uint64(c.Body[0]) {
		return errors.Join(items.SetSequence(at), replica.ErrMore)
	}
	return items.SetSequence(0)
}

func (t *tape) Kept(b *bbolt.Bucket, after journal.Position, keep func(journal.Kind, uint8, []byte) error) error {
	marks := b.Bucket([]byte("marks"))
	if marks == nil {
		return nil
	}
	return marks.ForEach(func(k, v []byte) error {
		if binary.BigEndian.Uint64(v) <= uint64(after) {
			return nil
		}
		return keep(journal.KindStatusChanged, 1, k)
	})
}

func (t *tape) Unsettled(*bbolt.Bucket) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unsettled
}

func (t *tape) Settle(b *replica.Batch) error { return t.settle(b) }

// patience is how long a test waits for what must come. A busy disk can take a second for one commit.
const patience = 2 * time.Minute

// bench is a replica under test with its feed.
type bench struct {
	t       *testing.T
	feed    *journal.Memory
	options replica.Options
}

func newBench(t *testing.T) *bench {
	feed := journal.NewMemory()
	return &bench{t: t, feed: feed, options: replica.Options{
		Path: filepath.Join(t.TempDir(), "replica.db"), Feed: feed, Appliers: []replica.Applier{newTape()}, SyncAfter: 5 * time.Millisecond}}
}

func (b *bench) open() *replica.Replica {
	b.t.Helper()
	r, err := replica.Open(b.t.Context(), b.options)
	if err != nil {
		b.t.Fatalf("opening: %v", err)
	}
	b.t.Cleanup(func() { _ = r.Close() })
	return r
}

// follow follows in the background; the returned function ends it and gives its error.
func (b *bench) follow(r *replica.Replica) (end func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Follow(ctx) }()
	return sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(patience):
			b.t.Error("following did not end")
			return nil
		}
	})
}

func (b *bench) wait(r *replica.Replica, p journal.Position) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	if err := r.WaitFor(ctx, p); err != nil {
		b.t.Fatalf("waiting for position %d: %v (state %+v)", p, err, r.State())
	}
}

// catchUp follows until the feed's head is reached.
func (b *bench) catchUp(r *replica.Replica) {
	b.t.Helper()
	head, err := b.feed.Head(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	end := b.follow(r)
	b.wait(r, head.Position)
	// The last change is shown before the copy knows that it was the last.
	aged(b.t, r, "caught up", func(s replica.State) bool { return !s.Loading && !s.Time.Before(head.Time) })
	if err := end(); err != nil {
		b.t.Fatalf("following: %v", err)
	}
}

// digest closes a replica after checking its pages, and returns its digest.
func (b *bench) digest(r *replica.Replica) journal.Hash {
	b.t.Helper()
	if err := r.Check(); err != nil {
		b.t.Errorf("checking: %v", err)
	}
	h, err := r.Digest("tape")
	if err != nil {
		b.t.Fatalf("digest: %v", err)
	}
	if err := r.Close(); err != nil {
		b.t.Errorf("closing: %v", err)
	}
	return h
}

// straight is the digest of a copy that never met trouble.
func (b *bench) straight() journal.Hash {
	b.t.Helper()
	fresh := &bench{t: b.t, feed: b.feed, options: replica.Options{
		Path: filepath.Join(b.t.TempDir(), "straight.db"), Feed: b.feed, Appliers: []replica.Applier{newTape()}}}
	r := fresh.open()
	fresh.catchUp(r)
	return fresh.digest(r)
}
