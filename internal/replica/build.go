package replica

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"syscall"

	"go.etcd.io/bbolt"

	"cardinal/internal/journal"
)

// Builder is an Applier that meets changes which bring so much that laying its
// whole bucket out anew, every key in order, is far quicker than writing key
// by key.
type Builder interface {
	// Builds reports whether c, the next change for the bucket, is such a one.
	// It must say false once Build was done for c.
	Builds(b *bbolt.Bucket, c journal.Change) bool
	// Build lays out the bucket as it shall be when Apply gets c. What b.Bucket,
	// which is read only, holds and Build does not make anew is carried over.
	// An error undoes all of it.
	Build(b *Batch, c journal.Change, l *Layout) error
}

// Layout is a bucket that is being laid out anew.
type Layout struct {
	pages *pageFile
	made  map[string]*BucketWriter
}

// New begins a nested bucket, in place of the one of that name if there is one.
// Buckets may then be written at the same time, each by one goroutine.
func (l *Layout) New(name string) *BucketWriter {
	w := &BucketWriter{file: l.pages}
	l.made[name] = w
	return w
}

// buildSuffix marks the file that is being laid out beside another.
const buildSuffix = ".build"

// build lays the file out anew if an applier asks for it before c. The new
// file says the same of its progress and takes the place of the old one as a
// whole; killed before that, the old one is still there.
func (r *Replica) build(ctx context.Context, f *file, c journal.Change) error {
	for i, a := range r.options.Appliers {
		b, ok := a.(Builder)
		if !ok || slices.Contains(f.done, a.Name()) {
			continue
		}
		wanted := false
		err := f.db.View(func(tx *bbolt.Tx) error {
			wanted = b.Builds(tx.Bucket([]byte(a.Name())), c)
			return nil
		})
		if err == nil && wanted {
			err = r.rebuild(ctx, f, building{i, b, c})
		}
		if err != nil {
			return fmt.Errorf("laying out %s for position %d: %w", a.Name(), c.Position, err)
		}
	}
	return nil
}

// building is what one applier lays out for one change.
type building struct {
	applier int
	builder Builder
	change  journal.Change
}

// builds reports whether a change cannot join a batch that others stand in.
func (w *writer) builds(p *progress, c journal.Change) bool {
	return slices.ContainsFunc(w.r.options.Appliers, func(a Applier) bool {
		b, ok := a.(Builder)
		return ok && !slices.Contains(p.done, a.Name()) && b.Builds(w.tx.Bucket([]byte(a.Name())), c)
	})
}

func (r *Replica) rebuild(ctx context.Context, f *file, b building) (err error) {
	path := f.path + buildSuffix
	out, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(path)
		}
	}()
	pages := &pageFile{f: out, next: 2}
	err = guarded("laying out a file", func() error {
		return f.db.View(func(tx *bbolt.Tx) error { return r.layOut(ctx, tx, pages, b) })
	})
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	db, err := open(path, false)
	if err != nil {
		return err
	}
	db.NoFreelistSync = false
	r.options.hook("laid out")
	lags := f.lagging != nil
	if err := errors.Join(f.sync(), os.Rename(path, f.path), syncDir(f.path)); err != nil {
		return errors.Join(err, db.Close())
	}
	r.replaceStore(f, db, r.options.Appliers[b.applier])
	debug.FreeOSMemory() // what was sorted in is not needed again
	if lags {
		return r.lag(f)
	}
	return nil
}

// layOut writes a whole file.
func (r *Replica) layOut(ctx context.Context, tx *bbolt.Tx, pages *pageFile, b building) error {
	name := r.options.Appliers[b.applier].Name()
	root := &BucketWriter{file: pages}
	err := tx.ForEach(func(k []byte, bucket *bbolt.Bucket) error {
		var w *BucketWriter
		var err error
		if string(k) == name {
			w, err = r.layOutBucket(ctx, bucket, pages, b)
		} else {
			w, err = pages.copyBucket(bucket)
		}
		if err != nil {
			return err
		}
		return root.putBucket(k, w)
	})
	if err != nil {
		return err
	}
	if err := root.Close(); err != nil {
		return err
	}
	return pages.finish(root.root)
}

func (r *Replica) layOutBucket(ctx context.Context, old *bbolt.Bucket, pages *pageFile, b building) (*BucketWriter, error) {
	l := &Layout{pages: pages, made: map[string]*BucketWriter{}}
	batch := &Batch{ctx: ctx, feed: r.options.Feed, bucket: old, time: b.change.Time}
	if err := b.builder.Build(batch, b.change, l); err != nil {
		return nil, classifyBuild(err)
	}
	names := make([]string, 0, len(l.made))
	for n := range l.made {
		names = append(names, n)
	}
	err := old.ForEach(func(k, _ []byte) error {
		if l.made[string(k)] == nil {
			names = append(names, string(k))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	w := &BucketWriter{file: pages, sequence: old.Sequence()}
	for _, n := range names {
		if err := l.place(w, old, n); err != nil {
			return nil, err
		}
	}
	return w, w.Close()
}

// place appends one item of the applier's bucket: one made, or one carried over.
func (l *Layout) place(w *BucketWriter, old *bbolt.Bucket, name string) error {
	inner := l.made[name]
	if inner == nil {
		kept := old.Bucket([]byte(name))
		if kept == nil {
			return w.Put([]byte(name), old.Get([]byte(name)))
		}
		var err error
		if inner, err = l.pages.copyBucket(kept); err != nil {
			return err
		}
	}
	if err := inner.Close(); err != nil {
		return err
	}
	return w.putBucket([]byte(name), inner)
}

// classifyBuild tells trouble with the disk or the feed, which may pass, from
// a change that cannot be applied.
func classifyBuild(err error) error {
	var number syscall.Errno
	var feed *feedError
	if errors.As(err, &number) || errors.As(err, &feed) || errors.Is(err, context.Canceled) {
		return err
	}
	return &applyError{err}
}

// replaceStore serves another store from the same file. Readers of the old
// one finish in peace.
func (r *Replica) replaceStore(f *file, db *bbolt.DB, a Applier) {
	r.files.Lock()
	old := f.db
	f.db = db
	r.files.Unlock()
	if f == r.file {
		r.turn()
	}
	a.Reset()
	r.closing.Add(1)
	go func() {
		defer r.closing.Done()
		if err := guarded("closing it", old.Close); err != nil {
			r.options.Logger.Warn("closing a replaced store", "why", err)
		}
	}()
}
