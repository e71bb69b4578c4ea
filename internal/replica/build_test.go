package replica_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

// layer is an applier that lays its bucket out anew for each change of kind
// SuffixLoaded: body[0] thousand keys in a nested bucket.
type layer struct {
	tape
	faults []error // given back by Build, one a time
}

func (y *layer) Builds(b *bbolt.Bucket, c journal.Change) bool {
	return c.Kind == journal.KindSuffixLoaded && string(b.Get([]byte("built"))) != string(key(c.Position))
}

func value(i uint32) []byte {
	n := i % 50
	if i%1999 == 0 {
		n = 9000 // several pages
	}
	return bytes.Repeat([]byte{byte(i)}, int(n))
}

func (y *layer) Build(b *replica.Batch, c journal.Change, l *replica.Layout) error {
	w := l.New("many")
	for i := range 1000 * uint32(c.Body[0]) {
		if err := w.Put(binary.BigEndian.AppendUint32(nil, i), value(i)); err != nil {
			return err
		}
		if len(y.faults) > 0 && i == 777 {
			err := y.faults[0]
			y.faults = y.faults[1:]
			return err
		}
	}
	w.SetSequence(77)
	if err := w.Put([]byte{0, 0}, nil); err == nil {
		return errors.New("a key out of order was taken")
	}
	l.New("empty")
	mark := l.New("mark")
	if b.Bucket().Get([]byte("built")) != nil && b.Bucket().Bucket([]byte("mark")) == nil {
		return errors.New("what was built before is gone")
	}
	return mark.Put([]byte("x"), key(c.Position))
}

func (y *layer) Apply(b *replica.Batch, c journal.Change) error {
	if c.Kind == journal.KindSuffixLoaded {
		if err := b.Bucket().Put([]byte("built"), key(c.Position)); err != nil {
			return err
		}
	}
	return y.tape.Apply(b, c)
}

// whole checks the file with the store's own means and what the layer holds.
func whole(t *testing.T, path string, thousands int) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Error(err)
		}
		many := tx.Bucket([]byte("tape")).Bucket([]byte("many"))
		if n := many.Stats().KeyN; n != 1000*thousands || many.Sequence() != 77 {
			return fmt.Errorf("%d keys, sequence %d", n, many.Sequence())
		}
		for i := range 1000 * uint32(thousands) {
			if v := many.Get(binary.BigEndian.AppendUint32(nil, i)); !bytes.Equal(v, value(i)) {
				return fmt.Errorf("key %d holds %d bytes", i, len(v))
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestLaidOutFileTakesThePlaceOfTheOld(t *testing.T) {
	t.Parallel()
	y := &layer{tape: *newTape(), faults: []error{&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}}}
	other := newTape()
	other.name = "other"
	feed := journal.NewMemory()
	b := &bench{t: t, feed: feed, options: replica.Options{Path: filepath.Join(t.TempDir(), "replica.db"), Feed: feed,
		Appliers: []replica.Applier{y, other}}}
	r := b.open()
	end := b.follow(r)
	feed.Append(journal.KindEntryAdded, 1, []byte("before"))
	b.wait(r, feed.Append(journal.KindSuffixLoaded, 1, []byte{40}))
	s, err := r.Begin("tape")
	if err != nil {
		t.Fatal(err)
	}
	feed.Append(journal.KindEntryAdded, 1, []byte("between"))
	last := feed.Append(journal.KindSuffixLoaded, 1, []byte{3})
	b.wait(r, last)
	if n := s.Bucket().Bucket([]byte("many")).Stats().KeyN; n != 40_000 {
		t.Errorf("a reader of the old file sees %d keys", n)
	}
	s.Release()
	last = feed.Append(journal.KindEntryAdded, 1, []byte("after"))
	b.wait(r, last)
	if err := end(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"tape", "other"} {
		err := r.View(name, func(b *bbolt.Bucket, s replica.State) error {
			for p := journal.Position(1); p <= last; p++ {
				if b.Get(key(p)) == nil {
					return fmt.Errorf("%s misses position %d", name, p)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	whole(t, b.options.Path, 3)
	if left, _ := filepath.Glob(b.options.Path + ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestLaidOutFileSurvivesARestartAtEveryPoint(t *testing.T) {
	t.Parallel()
	feed := journal.NewMemory()
	feed.Append(journal.KindEntryAdded, 1, []byte("before"))
	last := feed.Append(journal.KindSuffixLoaded, 1, []byte{5})
	for _, at := range []string{"laid out", "applied", "committed"} {
		path := filepath.Join(t.TempDir(), "replica.db")
		options := replica.Options{Path: path, Feed: feed, Appliers: []replica.Applier{&layer{tape: *newTape()}}}
		b := &bench{t: t, feed: feed, options: options}
		copied := sync.OnceFunc(func() { killedCopy(t, path) })
		b.options.SetHook(func(point string) {
			if point == at {
				copied()
			}
		})
		r := b.open()
		b.catchUp(r)
		r.Close()
		b.options.SetHook(func(string) {})
		b.options.Path = path + ".killed"
		b.options.Appliers = []replica.Applier{&layer{tape: *newTape()}}
		r = b.open()
		end := b.follow(r)
		b.wait(r, last)
		if err := end(); err != nil {
			t.Error(err)
		}
		r.Close()
		whole(t, path+".killed", 5)
		if _, err := os.Stat(path + ".killed.build"); err == nil {
			t.Errorf("%s: a half-built file is left", at)
		}
	}
}

// killedCopy copies what a kill would leave at this moment.
func killedCopy(t *testing.T, path string) {
	copyFile(t, path, path+".killed")
	if _, err := os.Stat(path + ".build"); err == nil {
		copyFile(t, path+".build", path+".killed.build")
	}
}
