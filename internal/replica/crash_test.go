package replica_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

// child, when set, makes the test binary follow a fixed history at that path until it is killed.
const child = "CARDINAL_REPLICA_CHILD"

// replay is a journal from a file, so that two processes follow the same one.
type replay struct {
	head    journal.Head
	changes []journal.Change
}

func saveFeed(t *testing.T, feed *journal.Memory, path string) {
	t.Helper()
	changes, err := feed.Read(t.Context(), 0, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	var raw []byte
	for i := range changes {
		raw = journal.AppendChange(raw, &changes[i])
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func loadFeed(t *testing.T, path string) *replay {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := &replay{}
	for len(raw) > 0 {
		var c journal.Change
		if c, raw, err = journal.ParseChange(raw); err != nil {
			t.Fatal(err)
		}
		f.changes = append(f.changes, c)
		f.head = journal.Head{Epoch: 1, Position: c.Position, Link: c.Link, Time: c.Time}
	}
	return f
}

func (f *replay) Head(context.Context) (journal.Head, error) { return f.head, nil }

func (f *replay) Read(_ context.Context, after journal.Position, limit int) ([]journal.Change, error) {
	var out []journal.Change
	for _, c := range f.changes[after:] {
		out = append(out, c)
		if c.Last && len(out) >= limit {
			break
		}
	}
	return out, nil
}

func (f *replay) Wait(ctx context.Context, _ journal.Position) error {
	<-ctx.Done()
	return ctx.Err()
}

func (f *replay) Content(context.Context, journal.Hash) (io.ReadCloser, error) {
	return nil, journal.ErrNoContent
}

func TestFollowUntilKilled(t *testing.T) {
	path := os.Getenv(child)
	if path == "" {
		return // only for the children of TestKilledProcessLeavesACopyThatGoesOn
	}
	options := replica.Options{Path: path, Feed: loadFeed(t, filepath.Join(filepath.Dir(path), "journal")),
		Appliers: []replica.Applier{newTape()}, BatchMax: 1}
	r, err := replica.Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Follow(t.Context())
}

func TestKilledProcessLeavesACopyThatGoesOn(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	dir := t.TempDir()
	source := newBench(t)
	history(source.feed, rand.New(rand.NewPCG(40, 41)), 500)
	want := source.straight()
	saveFeed(t, source.feed, filepath.Join(dir, "journal"))
	path := filepath.Join(dir, "replica.db")
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	var last journal.Position
	for range 8 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFollowUntilKilled$")
		cmd.Env = append(os.Environ(), child+"="+path)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		appears(t, path)
		time.Sleep(time.Duration(random.IntN(150)) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		f, err := replica.OpenFile(path)
		if err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		if err := f.Check(); err != nil {
			t.Errorf("after a kill: %v", err)
		}
		p := f.State().Position
		if p < last {
			t.Errorf("position went back from %d to %d", last, p)
		}
		last = p
		_ = f.Close()
	}
	b := &bench{t: t, feed: source.feed, options: replica.Options{Path: path, Feed: source.feed,
		Appliers: []replica.Applier{newTape()}}}
	r := b.open()
	t.Logf("killed 8 times up to position %d", r.State().Position)
	b.catchUp(r)
	if got := b.digest(r); got != want {
		t.Errorf("digest %s, straight %s", got, want)
	}
}

// appears waits until there is a file of that name.
func appears(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
	t.Fatalf("%s never appeared", path)
}

// fullDisk, when set, makes the test binary follow with a limit on the size of its files.
const fullDisk = "CARDINAL_REPLICA_FULL_DISK"

// firstWrite tells that something was written to it.
type firstWrite chan struct{}

func (f firstWrite) Write(p []byte) (int, error) {
	select {
	case f <- struct{}{}:
	default:
	}
	return len(p), nil
}

func TestFollowOnAFullDisk(t *testing.T) {
	path := os.Getenv(fullDisk)
	if path == "" {
		return // only for the child of TestFullDiskOnlyDelays
	}
	feed := journal.NewMemory()
	held := make(firstWrite, 1)
	b := &bench{t: t, feed: feed, options: replica.Options{Path: path, Feed: feed, Appliers: []replica.Applier{newTape()}, BatchMax: 8,
		Logger: slog.New(slog.NewTextHandler(held, &slog.HandlerOptions{Level: slog.LevelWarn}))}}
	r := b.open()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	full := syscall.Rlimit{Cur: 20 << 20, Max: before.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	end := b.follow(r)
	body := bytes.Repeat([]byte("sixteen bytes .."), 4000)
	var p journal.Position
	for range 400 {
		p = feed.Append(journal.KindEntryAdded, 1, body)
	}
	select {
	case <-held:
	case <-time.After(patience):
		t.Error("following is not held up")
	}
	if s := r.State(); s.Position == 0 || s.Position >= p {
		t.Errorf("on a full disk it says %+v", s)
	}
	if err := r.View("tape", func(*bbolt.Bucket, replica.State) error { return nil }); err != nil {
		t.Errorf("reading meanwhile: %v", err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	b.wait(r, p)
	if err := end(); err != nil {
		t.Errorf("following: %v", err)
	}
	if got, want := b.digest(r), b.straight(); got != want {
		t.Errorf("digest %s, straight %s", got, want)
	}
}

func TestFullDiskOnlyDelays(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestFollowOnAFullDisk$")
	cmd.Env = append(os.Environ(), fullDisk+"="+filepath.Join(t.TempDir(), "replica.db"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
