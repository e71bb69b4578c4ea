package replica_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

// followed is the path of a closed replica of a random history.
func followed(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	history(b.feed, rand.New(rand.NewPCG(20, 21)), 30)
	r := b.open()
	b.catchUp(r)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return b
}

func patch(t *testing.T, path string, edit func(data []byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, edit(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

// flipProgress spoils every copy of the record of progress.
func flipProgress(data []byte) []byte {
	for at := 0; ; {
		next := bytes.Index(data[at:], []byte("progress"))
		if next < 0 {
			return data
		}
		at += next + len("progress")
		data[at+3] ^= 1
	}
}

func TestDamagedFileIsMovedAsideAndRebuilt(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	for name, damage := range map[string]func(data []byte) []byte{
		"empty of sense": func(data []byte) []byte { return bytes.Repeat([]byte{0xa5}, len(data)) },
		"cut to a page":  func(data []byte) []byte { return data[:4096] },
		"cut in half": func(data []byte) []byte {
			used := len(bytes.TrimRight(data, "\x00"))
			return data[:used/2]
		},
		"both headers flipped": func(data []byte) []byte { data[16+20] ^= 1; data[4096+16+20] ^= 1; return data },
		"progress flipped":     flipProgress,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := followed(t)
			patch(t, b.options.Path, damage)
			var log bytes.Buffer
			b.options.Logger = slog.New(slog.NewTextHandler(&log, nil))
			r := b.open()
			b.catchUp(r)
			if got, want := b.digest(r), b.straight(); got != want {
				t.Errorf("digest %s, straight %s", got, want)
			}
			aside, _ := filepath.Glob(b.options.Path + ".damaged-*")
			if len(aside) != 1 || !strings.Contains(log.String(), "damaged") {
				t.Errorf("moved aside: %q, log %q", aside, log.String())
			}
		})
	}
}

// flipValue flips the last byte of a value wherever it stands in the file.
func flipValue(t *testing.T, path string, value []byte) {
	t.Helper()
	patch(t, path, func(data []byte) []byte {
		n := bytes.Count(data, value)
		if n == 0 {
			t.Fatalf("value %x is not in the file", value)
		}
		for at, found := 0, 0; found < n; found++ { // every copy: older pages are free already
			i := at + bytes.Index(data[at:], value)
			data[i+len(value)-1] ^= 1
			at = i + len(value)
		}
		return data
	})
}

func TestCompareNamesTheKeyThatDiffers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 100 {
		b.feed.Append(journal.KindEntryAdded, 1, append([]byte("the value of item number "), byte('0'+i/10), byte('0'+i%10)))
	}
	b.feed.Append(journal.KindEntriesModified, 1, []byte{9})
	r := b.open()
	b.catchUp(r)
	r.Close()
	other := filepath.Join(t.TempDir(), "other.db")
	copyFile(t, b.options.Path, other)
	flipValue(t, other, []byte("item number 41"))

	left, right := openFile(t, b.options.Path), openFile(t, other)
	if err := right.Check(); err != nil {
		t.Errorf("a value is not the store's to judge: %v", err)
	}
	var found []replica.Difference
	for d, err := range replica.Compare(left, right, "tape") {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, d)
	}
	if len(found) != 1 || found[0].Key != "000000000000002a" || bytes.Equal(found[0].A, found[0].B) {
		t.Errorf("differences: %q", found)
	}
	a, _ := left.Digest("tape")
	c, _ := right.Digest("tape")
	if a == c {
		t.Errorf("two copies that differ have one digest")
	}
	if s := left.State(); s.Position != 101 || s.Loading {
		t.Errorf("the file says %+v", s)
	}
}

func openFile(t *testing.T, path string) *replica.File {
	t.Helper()
	f, err := replica.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// Any byte of the file may be wrong: examining it must end in a finding or in agreement, never in a crash.
func TestAnyFlippedByteIsFoundOrHarmless(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	b := followed(t)
	good, err := os.ReadFile(b.options.Path)
	if err != nil {
		t.Fatal(err)
	}
	good = good[:(len(bytes.TrimRight(good, "\x00"))/4096+1)*4096]
	want := func() journal.Hash { h, _ := openFile(t, b.options.Path).Digest("tape"); return h }()
	random := rand.New(rand.NewPCG(30, 31))
	path := filepath.Join(t.TempDir(), "flipped.db")
	silent := 0
	for range 300 {
		bad := bytes.Clone(good)
		at := random.IntN(len(bad))
		bad[at] ^= 1 << random.IntN(8)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := replica.OpenFile(path)
		if err != nil {
			continue
		}
		if f.Check() == nil { // what is read without it may come from anywhere in memory
			if sum, err := f.Digest("tape"); err == nil && sum == want {
				silent++ // in a free page or unused room
			}
		}
		_ = f.Close()
	}
	t.Logf("%d of 300 flips fell into unused bytes", silent)
}

func TestOtherLayoutOrNewApplierRebuilds(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	b := followed(t)
	second := newTape()
	second.name = "second"
	b.options.Appliers = append(b.options.Appliers, second)
	r := b.open()
	if s := r.State(); s.Position != 0 {
		t.Errorf("an applier that has seen nothing stands at %d", s.Position)
	}
	b.catchUp(r)
	one, _ := r.Digest("tape")
	two, _ := r.Digest("second")
	if one != two {
		t.Errorf("two appliers of the same changes differ")
	}
}

func TestSnapshotShowsOneStateWhateverIsCommitted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.open()
	end := b.follow(r)
	b.wait(r, b.feed.Append(journal.KindEntryAdded, 1, []byte("x")))
	s, err := r.Begin("tape")
	if err != nil {
		t.Fatal(err)
	}
	s.Local = "mine"
	b.wait(r, b.feed.Append(journal.KindEntryAdded, 1, []byte("y")))
	if s.Bucket().Get(key(2)) != nil || s.State().Position != 1 {
		t.Errorf("a snapshot of position %d shows position 2", s.State().Position)
	}
	s.Release()
	again, err := r.Begin("tape")
	if err != nil {
		t.Fatal(err)
	}
	if again.Local != nil || again.State().Position != 2 || again.Bucket().Get(key(2)) == nil {
		t.Errorf("a snapshot begun later shows position %d (local %v)", again.State().Position, again.Local)
	}
	again.Local = "kept"
	again.Release()
	if third, _ := r.Begin("tape"); third.Local != "kept" {
		t.Errorf("an idle snapshot was not used again")
	} else {
		third.Release()
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	if _, err := r.Begin("nobody"); err == nil {
		t.Errorf("a bucket without applier was opened")
	}
}

func TestCloseEndsFollowingAndWaiting(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.open()
	end := b.follow(r)
	b.wait(r, b.feed.Append(journal.KindEntryAdded, 1, []byte("x")))
	waiting := make(chan error, 1)
	go func() { waiting <- r.WaitFor(context.Background(), 1000) }()
	start := time.Now()
	if err := r.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
	if took := time.Since(start); took > patience {
		t.Errorf("closing took %v", took)
	}
	if err := <-waiting; !errors.Is(err, replica.ErrClosed) {
		t.Errorf("waiting ended with %v", err)
	}
	if err := end(); err != nil {
		t.Errorf("following ended with %v", err)
	}
	if _, err := r.Begin("tape"); !errors.Is(err, replica.ErrClosed) {
		t.Errorf("reading a closed replica: %v", err)
	}
	if err := r.Follow(t.Context()); !errors.Is(err, replica.ErrClosed) {
		t.Errorf("following a closed replica: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

func TestSettlingFailsWithoutHoldingUpChanges(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	tape := b.options.Appliers[0].(*tape)
	h := b.feed.PutContent([]byte("content"))
	tape.unsettled = true
	fails := errors.New("not yet")
	tries := 0
	tape.settle = func(batch *replica.Batch) error {
		if tries++; tries < 3 {
			return fails
		}
		c, err := batch.Content(h)
		if err != nil {
			return err
		}
		defer c.Close()
		data, err := io.ReadAll(c)
		if err != nil {
			return err
		}
		tape.mu.Lock()
		tape.unsettled = false
		tape.mu.Unlock()
		return batch.Bucket().Put([]byte("settled"), data)
	}
	r := b.open()
	end := b.follow(r)
	for range 5 {
		b.wait(r, b.feed.Append(journal.KindEntryAdded, 1, []byte("x")))
	}
	deadline := time.Now().Add(patience)
	for tape.Unsettled(nil) && time.Now().Before(deadline) {
		b.feed.Beat()
		time.Sleep(time.Millisecond)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	_ = r.View("tape", func(bucket *bbolt.Bucket, _ replica.State) error {
		if got := bucket.Get([]byte("settled")); string(got) != "content" {
			t.Errorf("settled %q after %d tries", got, tries)
		}
		return nil
	})
}

func TestDamageMetWhileFollowingRebuilds(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	b := newBench(t)
	history(b.feed, rand.New(rand.NewPCG(50, 51)), 20)
	b.options.BatchMax = 4
	once := false
	b.options.SetHook(func(point string) {
		if point == "applied" && !once {
			once = true
			panic("page 17: a page that is not there") // as the store does
		}
	})
	r := b.open()
	b.catchUp(r)
	if got, want := b.digest(r), b.straight(); got != want {
		t.Errorf("digest %s, straight %s", got, want)
	}
	if aside, _ := filepath.Glob(b.options.Path + ".damaged-*"); len(aside) != 1 {
		t.Errorf("moved aside: %q", aside)
	}
}

func TestSettlingManyThingsIsNotLoading(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	tape := b.options.Appliers[0].(*tape)
	left := 0
	tape.settle = func(*replica.Batch) error {
		tape.mu.Lock()
		defer tape.mu.Unlock()
		if left--; left > 0 {
			return replica.ErrMore
		}
		tape.unsettled = false
		return nil
	}
	unsettled := func(is bool) {
		tape.mu.Lock()
		defer tape.mu.Unlock()
		tape.unsettled, left = is, 5
	}
	unsettled(true)
	r := b.open()
	end := b.follow(r)
	b.feed.Append(journal.KindListPublished, 1, []byte("x"))
	aged(t, r, "caught up", func(s replica.State) bool { return !s.Loading })
	if tape.Unsettled(nil) {
		t.Error("the copy says that it has caught up before it settled for the first time")
	}
	unsettled(true)
	b.wait(r, b.feed.Append(journal.KindListPublished, 1, []byte("y")))
	aged(t, r, "settled", func(replica.State) bool { return !tape.Unsettled(nil) })
	if err := end(); err != nil {
		t.Error(err)
	}
	tape.mu.Lock()
	defer tape.mu.Unlock()
	for i, caughtUp := 0, false; i < len(tape.committed); i++ {
		if s := tape.committed[i]; s.Loading && caughtUp {
			t.Errorf("commit %d of %d says loading, after the copy had caught up", i+1, len(tape.committed))
		}
		caughtUp = caughtUp || !tape.committed[i].Loading
	}
}
