package replica_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"go.etcd.io/bbolt"

	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

// secretive is a tape with a bucket that not every copy may have.
type secretive struct{ *tape }

func (secretive) Withheld() []string { return []string{"secrets"} }

func (s secretive) Apply(b *replica.Batch, c journal.Change) error {
	if c.Kind != journal.KindSecretsChanged {
		return s.tape.Apply(b, c)
	}
	secrets, err := b.Bucket().CreateBucketIfNotExists([]byte("secrets"))
	if err != nil {
		return err
	}
	return secrets.Put(key(c.Position), c.Body)
}

// imaged is a copy with a little of everything, and an image of it.
func imaged(t *testing.T, public bool) (*journal.Memory, *replica.Replica, replica.Image, []byte) {
	t.Helper()
	m := journal.NewMemory()
	for i := range 300 {
		m.Append(journal.KindEntryAdded, 1, bytes.Repeat([]byte{byte(i)}, i*7%5000))
	}
	m.Append(journal.KindSecretsChanged, 1, []byte("verifier"))
	m.Append(journal.KindStatusChanged, 1, []byte("lost"))
	m.Append(journal.KindEntriesModified, 1, []byte{9})
	r := keptUp(t, m, filepath.Join(t.TempDir(), "r.db"))
	var b bytes.Buffer
	made, err := r.WriteImage(t.Context(), &b, public)
	if err != nil {
		t.Fatal(err)
	}
	return m, r, made, b.Bytes()
}

// keptUp opens a copy and waits until it has caught up.
func keptUp(t *testing.T, m *journal.Memory, path string) *replica.Replica {
	t.Helper()
	r, err := replica.Open(t.Context(), replica.Options{Path: path, Feed: m, Appliers: []replica.Applier{secretive{newTape()}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	go func() { _ = r.Follow(t.Context()) }()
	head, err := m.Head(t.Context())
	if err == nil {
		err = r.WaitFor(t.Context(), head.Position)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestACopyBuiltOfAnImageIsTheCopyAndGoesOn(t *testing.T) {
	t.Parallel()
	m, r, made, raw := imaged(t, false)
	path := filepath.Join(t.TempDir(), "built.db")
	if err := replica.BuildFromImage(path, []replica.Applier{secretive{newTape()}}, made, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	m.Append(journal.KindEntryAdded, 1, []byte("after"))
	again := keptUp(t, m, path)
	if err := r.WaitFor(t.Context(), again.State().Position); err != nil {
		t.Fatal(err)
	}
	if err := again.Check(); err != nil {
		t.Error(err)
	}
	a, errA := r.Digest("tape")
	b, errB := again.Digest("tape")
	if a != b || errors.Join(errA, errB) != nil || again.State().Link != r.State().Link {
		t.Errorf("digests %s and %s: %v", a, b, errors.Join(errA, errB))
	}
}

func TestAPublicImageLeavesOutWhatIsWithheld(t *testing.T) {
	t.Parallel()
	_, _, made, raw := imaged(t, true)
	if bytes.Contains(raw, []byte("verifier")) {
		t.Error("a verifier is in the image")
	}
	path := filepath.Join(t.TempDir(), "built.db")
	if err := replica.BuildFromImage(path, []replica.Applier{secretive{newTape()}}, made, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	f, err := replica.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = f.View("tape", func(b *bbolt.Bucket) error {
		if secrets := b.Bucket([]byte("secrets")); secrets == nil || secrets.Stats().KeyN != 0 {
			t.Error("the bucket is not there and empty")
		}
		return nil
	})
	if err := errors.Join(err, f.Check()); err != nil {
		t.Error(err)
	}
}

func TestAnImageThatIsNotTheOneDescribedIsRefused(t *testing.T) {
	t.Parallel()
	_, _, made, raw := imaged(t, false)
	build := func(of replica.Image, raw []byte) (string, error) {
		path := filepath.Join(t.TempDir(), "built.db")
		return path, replica.BuildFromImage(path, []replica.Applier{secretive{newTape()}}, of, bytes.NewReader(raw))
	}
	flipped := bytes.Clone(raw)
	flipped[len(flipped)/2] ^= 1
	for name, broken := range map[string][]byte{"cut off": raw[:len(raw)-9], "empty": nil, "one bit": flipped, "another beginning": raw[1:]} {
		path, err := build(made, broken)
		if !errors.Is(err, replica.ErrImage) {
			t.Errorf("%s: %v", name, err)
		}
		for _, left := range []string{path, path + ".new"} {
			if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: %s is left", name, left)
			}
		}
	}
	other := made
	other.Buckets = []replica.ImageBucket{{Name: "tape", Layout: 2}}
	if _, err := build(other, raw); !errors.Is(err, replica.ErrOtherImage) {
		t.Errorf("another layout: %v", err)
	}
	err := replica.BuildFromImage(filepath.Join(t.TempDir(), "built.db"), []replica.Applier{secretive{newTape()}}, made, iotest.TimeoutReader(bytes.NewReader(raw)))
	if !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("a reader that fails: %v", err)
	}
}

func FuzzBuildFromImage(f *testing.F) {
	m := journal.NewMemory()
	m.Append(journal.KindEntryAdded, 1, []byte("entry"))
	r, err := replica.Open(f.Context(), replica.Options{Path: filepath.Join(f.TempDir(), "r.db"), Feed: m, Appliers: []replica.Applier{newTape()}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = r.Close() })
	go func() { _ = r.Follow(f.Context()) }()
	if err := r.WaitFor(f.Context(), 1); err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	made, err := r.WriteImage(f.Context(), &b, false)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:b.Len()-1])
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(dir, "built.db")
		err := replica.BuildFromImage(path, []replica.Applier{newTape()}, made, bytes.NewReader(raw))
		if err == nil {
			_ = os.Remove(path)
		}
	})
}
