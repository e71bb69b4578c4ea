package replica

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"iter"

	"go.etcd.io/bbolt"

	"cardinal/internal/journal"
)

// File is a replica's file opened to be examined, without repairing or following anything. It cannot be opened while a
// process has it open as a Replica.
type File struct {
	file *file
}

// OpenFile opens the file at path for reading. What cannot be a replica is Damage. One that a power cut left behind is
// first put back to what was on disk, as Open does.
func OpenFile(path string) (*File, error) {
	mark, err := rewind(path, bootID())
	if err != nil {
		return nil, fmt.Errorf("opening replica %s: %w", path, err)
	}
	if err := inspectHead(path); err != nil {
		return nil, err
	}
	f := &file{path: path}
	err = guarded("opening it", func() (err error) {
		if f.db, err = open(path, true); err != nil {
			return err
		}
		return f.db.View(func(tx *bbolt.Tx) error { return f.read(tx, mark) })
	})
	if err != nil {
		if f.db != nil {
			err = errors.Join(err, guarded("closing it", f.db.Close))
		}
		return nil, fmt.Errorf("opening replica %s: %w", path, err)
	}
	return &File{file: f}, nil
}

// Close closes the file.
func (f *File) Close() error { return f.file.db.Close() }

// State is what the file says of itself; Age is unset.
func (f *File) State() State {
	p := &f.file.progress
	return State{Epoch: p.epoch, Position: p.position, Link: p.link, Time: p.time, Loading: p.applied != p.position || p.slicing,
		Quarantine: p.quarantine, ReseedRevoked: int(p.kept)}
}

// Check reads the whole file, by this package and then by the store itself: every page once, keys in order, no page
// lost, the progress as it was written. The errors are Damage.
func (f *File) Check() error {
	return f.file.db.View(func(tx *bbolt.Tx) error {
		if err := inspect(tx, f.file.path); err != nil {
			return err
		}
		var found []error
		for err := range tx.Check() {
			if len(found) < 10 {
				found = append(found, err)
			}
		}
		if len(found) > 0 {
			return &Damage{What: "its pages", Err: errors.Join(found...)}
		}
		_, err := readProgress(tx)
		return err
	})
}

// Digest is the SHA-256 of everything in an applier's bucket but its local buckets; copies at the same position have the
// same.
func (f *File) Digest(name string) (journal.Hash, error) { return digest(f.file.db, name) }

// Layout is the number of the form an applier's bucket was written in ([Applier.Layout]), 0 when there is none. Files
// can be compared where they have the same.
func (f *File) Layout(name string) (layout uint32, err error) {
	err = f.file.db.View(func(tx *bbolt.Tx) error {
		if n := tx.Bucket([]byte(ownBucket)).Get([]byte(layoutPrefix + name)); len(n) == 4 {
			layout = binary.BigEndian.Uint32(n)
		}
		return nil
	})
	return layout, err
}

// View calls fn with a bucket, so that a room can be asked to read its own.
func (f *File) View(name string, fn func(b *bbolt.Bucket) error) error {
	return viewBucket(f.file.db, name, fn)
}

// Check is File.Check on the file in use, without the store's own part, which would not bear following going on.
func (r *Replica) Check() error {
	var err error
	for range 10 { // commits may be faster than finding the pinned header
		tx, begun := r.beginRead()
		if begun != nil {
			return begun
		}
		err = inspect(tx, r.options.Path)
		_ = tx.Rollback()
		if !errors.Is(err, errMoved) {
			return err
		}
	}
	return err
}

// Digest is File.Digest on the file in use.
func (r *Replica) Digest(name string) (journal.Hash, error) {
	db, release, err := r.hold()
	if err != nil {
		return journal.Hash{}, err
	}
	defer release()
	return digest(db, name)
}

// hold keeps the file in use from being closed; a swap goes on.
func (r *Replica) hold() (*bbolt.DB, func(), error) {
	tx, err := r.beginRead()
	if err != nil {
		return nil, nil, err
	}
	return tx.DB(), func() { _ = tx.Rollback() }, nil
}

// Key is the way to an item: the names of nested buckets, then the key.
type Key [][]byte

// String writes printable parts as they are and others in hexadecimal, with slashes between.
func (k Key) String() string {
	var b bytes.Buffer
	for i, part := range k {
		if i > 0 {
			b.WriteByte('/')
		}
		if printable(part) {
			b.Write(part)
		} else {
			b.WriteString(hex.EncodeToString(part))
		}
	}
	return b.String()
}

func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' || c == '/' {
			return false
		}
	}
	return len(b) > 0
}

// walker goes through a bucket and the buckets in it, in order. It is no iterator function, because a memory fault can
// only be caught on the goroutine that asked for it.
type walker struct {
	way   Key
	stack []level
	local bool // also go into local buckets
}

type level struct {
	bucket *bbolt.Bucket
	cursor *bbolt.Cursor
}

func newWalker(b *bbolt.Bucket, local bool) *walker {
	return &walker{way: Key{nil}, stack: []level{{b, nil}}, local: local}
}

// next returns an item; key and value are valid until the following call.
func (w *walker) next() (Key, []byte, bool) {
	for len(w.stack) > 0 {
		top := &w.stack[len(w.stack)-1]
		k, v := top.step()
		w.way[len(w.stack)-1] = k
		switch {
		case k == nil:
			w.stack = w.stack[:len(w.stack)-1]
			w.way = w.way[:len(w.stack)]
		case v != nil:
			return w.way, v, true
		case w.local || k[0] != 0:
			w.stack = append(w.stack, level{top.bucket.Bucket(k), nil})
			w.way = append(w.way, nil)
		}
	}
	return nil, nil, false
}

func (l *level) step() (k, v []byte) {
	if l.cursor == nil {
		l.cursor = l.bucket.Cursor()
		return l.cursor.First()
	}
	return l.cursor.Next()
}

func viewBucket(db *bbolt.DB, name string, fn func(b *bbolt.Bucket) error) error {
	return guarded("reading bucket "+name, func() error {
		return db.View(func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte(name))
			if b == nil {
				return &Damage{What: "bucket " + name + " is missing"}
			}
			return fn(b)
		})
	})
}

func digest(db *bbolt.DB, name string) (journal.Hash, error) {
	h := sha256.New()
	err := viewBucket(db, name, func(b *bbolt.Bucket) error {
		w := newWalker(b, false)
		for k, v, ok := w.next(); ok; k, v, ok = w.next() {
			h.Write(binary.AppendUvarint(nil, uint64(len(k))))
			for _, part := range k {
				writeLong(h, part)
			}
			writeLong(h, v)
		}
		return nil
	})
	if err != nil { // a fault within h left it in no state to be asked
		return journal.Hash{}, err
	}
	return journal.Hash(h.Sum(nil)), nil
}

func writeLong(h hash.Hash, part []byte) {
	h.Write(binary.AppendUvarint(nil, uint64(len(part))))
	h.Write(part)
}

// Difference is one item that two copies do not agree about. A side that lacks it has a nil value.
type Difference struct {
	Key string
	A   []byte
	B   []byte
}

// Compare yields the items in which an applier's buckets of two files differ, in order of their keys, and last an error
// when a file cannot be read through. The files should stand at the same position.
func Compare(a, b *File, name string) iter.Seq2[Difference, error] {
	return func(yield func(Difference, error) bool) {
		stopped := errors.New("stopped")
		err := a.View(name, func(left *bbolt.Bucket) error {
			return b.View(name, func(right *bbolt.Bucket) error {
				if !merge(left, right, func(d Difference) bool { return yield(d, nil) }) {
					return stopped
				}
				return nil
			})
		})
		if err != nil && !errors.Is(err, stopped) {
			yield(Difference{}, err)
		}
	}
}

// merge walks two buckets side by side.
func merge(left, right *bbolt.Bucket, yield func(Difference) bool) bool {
	wa, wb := newWalker(left, false), newWalker(right, false)
	ka, va, okA := wa.next()
	kb, vb, okB := wb.next()
	for okA || okB {
		order := compareKeys(ka, kb, okA, okB)
		same := order == 0 && bytes.Equal(va, vb)
		d := Difference{}
		if order <= 0 && !same {
			d.Key, d.A = ka.String(), bytes.Clone(va)
		}
		if order >= 0 && !same {
			d.Key, d.B = kb.String(), bytes.Clone(vb)
		}
		if !same && !yield(d) {
			return false
		}
		if order <= 0 {
			ka, va, okA = wa.next()
		}
		if order >= 0 {
			kb, vb, okB = wb.next()
		}
	}
	return true
}

// compareKeys orders two positions of a walk; a side that has ended comes after everything.
func compareKeys(a, b Key, okA, okB bool) int {
	switch {
	case !okA:
		return 1
	case !okB:
		return -1
	}
	for i := range min(len(a), len(b)) {
		if c := bytes.Compare(a[i], b[i]); c != 0 {
			return c
		}
	}
	return len(a) - len(b)
}
