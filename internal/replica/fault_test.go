package replica_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"go.etcd.io/bbolt"

	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

// misdirect makes every branch page of a file point where nothing is mapped.
func misdirect(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	branches := 0
	head := make([]byte, 16)
	for at := int64(0); at < info.Size(); at += 4096 {
		if _, err := f.ReadAt(head, at); err != nil {
			t.Fatal(err)
		}
		if binary.LittleEndian.Uint16(head[8:]) != 1 {
			continue
		}
		branches++
		for i := range int64(binary.LittleEndian.Uint16(head[10:])) {
			if _, err := f.WriteAt([]byte{0, 0, 0, 0x10, 0, 0, 0, 0}, at+16+16*i+8); err != nil {
				t.Fatal(err)
			}
		}
	}
	if branches == 0 {
		t.Fatal("the file has no branch page")
	}
}

// walkAll reads every item of a bucket.
func walkAll(b *bbolt.Bucket) error {
	return b.ForEach(func(k, v []byte) error {
		if v == nil {
			return walkAll(b.Bucket(k))
		}
		return nil
	})
}

// readThrough reads a snapshot to its end and returns what a server that recovers from panics sees.
func readThrough(r *replica.Replica) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("recovered: %v", p)
		}
	}()
	s, err := r.Begin("tape")
	if err != nil {
		return err
	}
	defer s.Release()
	return walkAll(s.Bucket())
}

// A page that leads out of the mapped file costs the reader its answer, not the process its life.
func TestReadingADamagedPageDoesNotEndTheProcess(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	b := newBench(t)
	history(b.feed, rand.New(rand.NewPCG(60, 61)), 400)
	for i := range 400 {
		b.feed.Append(journal.KindEntryAdded, 1, fmt.Appendf(nil, "%064d", i))
	}
	r := b.open()
	b.catchUp(r)
	if err := readThrough(r); err != nil {
		t.Fatal(err)
	}
	misdirect(t, b.options.Path)
	done := make(chan error, 1)
	go func() { done <- readThrough(r) }()
	if err := <-done; err == nil {
		t.Error("a damaged page was read as if it were whole")
	}
	var damage *replica.Damage
	if err := r.View("tape", func(b *bbolt.Bucket, _ replica.State) error { return walkAll(b) }); !errors.As(err, &damage) {
		t.Errorf("View returned %v", err)
	}
}

func TestImpatientCopyEndsAtTheFirstTrouble(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	lost := errors.New("connection lost")
	b.feed.SetFault(func(string) error { return lost })
	b.options.Impatient = true
	b.stops(b.open(), lost)
}
