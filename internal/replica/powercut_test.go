package replica_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

// disk is what a power cut may leave of a replica: at a moment at which the record was made all of it, and of what was
// written since then any pages and not others.
type disk struct {
	t      *testing.T
	path   string
	synced []byte // the file when the record was made
	record []byte
	later  [][]byte // the file at moments since
}

func (d *disk) read(name string) []byte {
	d.t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		d.t.Fatal(err)
	}
	return raw
}

// sync waits for a record of what stands at the path now, and notes both.
func (d *disk) sync(r *replica.Replica) {
	d.t.Helper()
	if err := replica.Checkpoint(r); err != nil {
		d.t.Fatal(err)
	}
	d.synced, d.record, d.later = d.read(d.path), d.read(d.path+".synced"), nil
}

func (d *disk) moment() { d.later = append(d.later, d.read(d.path)) }

// cut writes what a power cut may have left: each page as it was at some moment, those of the length it had.
func (d *disk) cut(path string, random *rand.Rand) {
	d.t.Helper()
	moments := append([][]byte{d.synced}, d.later...)
	out := bytes.Clone(moments[random.IntN(len(moments))])
	if len(out) < len(d.synced) {
		out = bytes.Clone(d.synced)
	}
	const page = 4096
	for at := 0; at < len(out); at += page {
		if from := moments[random.IntN(len(moments))]; at+page <= len(from) && at+page <= len(out) {
			copy(out[at:at+page], from[at:at+page])
		}
	}
	for name, data := range map[string][]byte{path: out, path + ".synced": d.record} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			d.t.Fatal(err)
		}
	}
}

// lagging is a bench whose replica syncs only when it is told to.
func lagging(t *testing.T) *bench {
	b := newBench(t)
	b.options.SyncAfter = time.Hour
	b.options.BatchMax = 1
	b.options.SetBoot("first")
	b.options.SetBatchesUnsynced(math.MaxInt)
	return b
}

// TestPowerCutTakesBackAMoment cuts the power again and again: whatever pages reached the disk, the copy stands where it
// was synced, is whole, and becomes what it would have been.
func TestPowerCutTakesBackAMoment(t *testing.T) {
	t.Parallel()
	b := lagging(t)
	random := rand.New(rand.NewPCG(7, 8))
	history(b.feed, random, 150)
	r := b.open()
	b.catchUp(r)
	d := &disk{t: t, path: b.options.Path}
	torn := 0
	for round := range 2 {
		d.sync(r)
		at := r.State().Position
		for range 3 {
			history(b.feed, random, 10)
			b.catchUp(r)
			d.moment()
		}
		want := b.straight()
		for i := range 5 {
			path := filepath.Join(t.TempDir(), fmt.Sprintf("%d-%d.db", round, i))
			d.cut(path, random)
			torn += b.afterPowerCut(path, at, want)
		}
	}
	if torn == 0 {
		t.Error("no cut left a file that would have been wrong: this test shows nothing")
	}
}

// afterPowerCut opens what a cut left, as another run of the system. It returns 1 if the file as it was left is damaged.
func (b *bench) afterPowerCut(path string, at journal.Position, want journal.Hash) (torn int) {
	b.t.Helper()
	if replica.Whole(path) != nil { // the store itself would fall over such a file
		torn = 1
	}
	options := b.options
	options.Path = path
	options.SetBoot("second")
	then := &bench{t: b.t, feed: b.feed, options: options}
	r := then.open()
	if got := r.State().Position; got != at {
		b.t.Errorf("after the cut it stands at %d, synced was %d", got, at)
	}
	if err := r.Check(); err != nil {
		b.t.Errorf("after the cut: %v", err)
	}
	then.catchUp(r)
	if got := then.digest(r); got != want {
		b.t.Errorf("digest %s, straight %s", got, want)
	}
	if _, err := os.Stat(path + ".synced"); !errors.Is(err, os.ErrNotExist) {
		b.t.Errorf("a record stands beside a file that was closed: %v", err)
	}
	return torn
}

// TestManyBatchesAreSyncedBeforeTheirTime: what the pinned transaction keeps from being used again stays bounded.
func TestManyBatchesAreSyncedBeforeTheirTime(t *testing.T) {
	t.Parallel()
	b := lagging(t)
	b.options.SetBatchesUnsynced(20)
	r := b.open()
	first, err := os.ReadFile(b.options.Path + ".synced")
	if err != nil {
		t.Fatal(err)
	}
	history(b.feed, rand.New(rand.NewPCG(15, 16)), 60)
	b.catchUp(r)
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if now, err := os.ReadFile(b.options.Path + ".synced"); err == nil && !bytes.Equal(now, first) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("no record of any of 60 batches, an hour before their time")
		}
	}
}

// TestKillTakesNothingBack: in the same run of the system all that was written is there, synced or not.
func TestKillTakesNothingBack(t *testing.T) {
	t.Parallel()
	b := lagging(t)
	random := rand.New(rand.NewPCG(9, 10))
	history(b.feed, random, 100)
	r := b.open()
	b.catchUp(r)
	d := &disk{t: t, path: b.options.Path}
	d.sync(r)
	history(b.feed, random, 100)
	b.catchUp(r)
	at := r.State().Position
	path := filepath.Join(t.TempDir(), "killed.db")
	for name, data := range map[string][]byte{path: d.read(d.path), path + ".synced": d.record} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.options.Path = path
	killed := b.open()
	if got := killed.State().Position; got != at {
		t.Errorf("after a kill it stands at %d, was at %d", got, at)
	}
	if err := killed.Check(); err != nil {
		t.Error(err)
	}
}

// TestPowerCutWhileTheRecordIsWritten: of two slots one is whole.
func TestPowerCutWhileTheRecordIsWritten(t *testing.T) {
	t.Parallel()
	b := lagging(t)
	random := rand.New(rand.NewPCG(11, 12))
	history(b.feed, random, 60)
	r := b.open()
	b.catchUp(r)
	d := &disk{t: t, path: b.options.Path}
	d.sync(r)
	at, before := r.State().Position, d.record
	history(b.feed, random, 60)
	b.catchUp(r)
	d.moment()
	want := b.straight()
	d2 := &disk{t: t, path: b.options.Path}
	d2.sync(r)
	for i := range len(before) {
		if before[i] != d2.record[i] && i%37 == 0 {
			half := bytes.Clone(d2.record)
			copy(half[i:], before[i:])
			d.record = half
			path := filepath.Join(t.TempDir(), "cut.db")
			d.cut(path, random)
			b.afterPowerCut(path, at, want)
		}
	}
}

// TestRecordThatSaysNothingHasTheCopyRebuilt: without knowing what was on disk the file is not trusted.
func TestRecordThatSaysNothingHasTheCopyRebuilt(t *testing.T) {
	t.Parallel()
	for name, garble := range map[string]func([]byte) []byte{
		"empty":          func([]byte) []byte { return nil },
		"zeros":          func(b []byte) []byte { return make([]byte, len(b)) },
		"another file's": func(b []byte) []byte { return b },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := lagging(t)
			history(b.feed, rand.New(rand.NewPCG(13, 14)), 60)
			r := b.open()
			b.catchUp(r)
			d := &disk{t: t, path: b.options.Path}
			d.sync(r)
			other := d.record
			if name == "another file's" {
				o := lagging(t)
				o.feed, o.options.Feed = b.feed, b.feed
				q := o.open()
				o.catchUp(q)
				e := &disk{t: t, path: o.options.Path}
				e.sync(q)
				other = e.record
			}
			b.options.Path = filepath.Join(t.TempDir(), "garbled.db")
			for name, data := range map[string][]byte{b.options.Path: d.synced, b.options.Path + ".synced": garble(other)} {
				if err := os.WriteFile(name, data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			b.options.SetBoot("second")
			again := b.open()
			if got := again.State().Position; got != 0 {
				t.Errorf("it stands at %d instead of beginning anew", got)
			}
			b.catchUp(again)
			if got, want := b.digest(again), b.straight(); got != want {
				t.Errorf("digest %s, straight %s", got, want)
			}
			if aside, _ := filepath.Glob(b.options.Path + ".damaged-*"); len(aside) != 1 {
				t.Errorf("moved aside: %v", aside)
			}
		})
	}
}

// FuzzRecord: no record makes reading it fail otherwise than by an error.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(make([]byte, 8192))
	f.Add(replica.SomeRecord())
	f.Fuzz(func(t *testing.T, raw []byte) { replica.ParseRecord(raw) })
}
