package tree

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"go.etcd.io/bbolt"
	"golang.org/x/sync/errgroup"

	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/replica"
	"cardinal/internal/sorter"
)

// A load brings a whole suffix, its entries in the order of their keys, which
// becomes the order of their numbers. The bucket is laid out anew with them
// (replica.Builder): blocks are read by several goroutines, each makes records
// and sorts aside what finds its entries, and in the end every index is merged
// from what was there and what was sorted, from one end to the other. Words
// and attribute numbers are given in the order of blocks, so that all copies
// give the same.

// stateBuilt holds the position of a load whose entries are laid out and whose
// change is not applied yet.
const stateBuilt = "built"

// Builds is replica.Builder's.
func (t *Tree) Builds(b *bbolt.Bucket, c journal.Change) bool {
	if c.Kind != journal.KindSuffixLoaded || c.Version != directory.ChangeVersion {
		return false
	}
	states := b.Bucket([]byte(bucketState))
	return states == nil || !bytes.Equal(states.Get([]byte(stateBuilt)), builtAt(c))
}

func builtAt(c journal.Change) []byte {
	e := journal.NewEncoder(nil)
	e.AppendUint(uint64(c.Position))
	return e.Bytes()
}

// errNotBuilt: a load was to be applied that was not laid out.
var errNotBuilt = errors.New("the entries of a load are not there")

// applyLoad ends a load that was laid out.
func (t *Tree) applyLoad(c journal.Change) error {
	states := t.writer.states
	if !bytes.Equal(states.Get([]byte(stateBuilt)), builtAt(c)) {
		return errNotBuilt
	}
	x, err := directory.ParseSuffixLoaded(c.Body)
	if err != nil {
		return err
	}
	if err := t.writer.note(noted{kind: ChangeLoaded, name: x.Suffix.String()}); err != nil {
		return err
	}
	return states.Delete([]byte(stateBuilt))
}

// Build is replica.Builder's.
func (t *Tree) Build(b *replica.Batch, c journal.Change, l *replica.Layout) error {
	t.recalls.block(true) // until Reset: the new file has the old one's mark
	x, err := directory.ParseSuffixLoaded(c.Body)
	if err != nil {
		return err
	}
	reader, err := directory.OpenLoad(b.Content, x.Content)
	if err == nil {
		g := newBuild(t, b.Bucket(), c)
		err = g.run(reader, l)
	}
	if err != nil {
		return fmt.Errorf("loading %s: %w", x.Suffix, err)
	}
	return nil
}

// build is a load being laid out.
type build struct {
	tree     *Tree
	old      *bbolt.Bucket
	change   journal.Change
	catalog  *catalogWriter
	first    uint32 // number of the first entry
	tokens   tokens
	defaults []standing
	upgrade  *directory.BlockUpgrade
	suffix   directory.DN
	crowded  bool // attribute numbers ran out

	entries, values *replica.BucketWriter
	workers         []*buildWorker
}

func newBuild(t *Tree, old *bbolt.Bucket, c journal.Change) *build {
	g := &build{tree: t, old: old, change: c, catalog: newCatalogWriter(t.schema), first: 1, upgrade: directory.NewBlockUpgrade()}
	if entries := g.bucket(bucketEntries); entries != nil {
		g.first = uint32(entries.Sequence()) + 1
	}
	g.tokens = tokens{build: g, known: map[string]*token{}, postings: map[string]*posting{}}
	return g
}

// bucket is one of the old buckets; nil if it is not there yet.
func (g *build) bucket(name string) *bbolt.Bucket { return g.old.Bucket([]byte(name)) }

func (g *build) run(reader *directory.LoadReader, l *replica.Layout) (err error) {
	if err := g.readCatalog(); err != nil {
		return err
	}
	made := map[string]*replica.BucketWriter{}
	for _, name := range allBuckets() {
		if isBuilt(name) || g.bucket(name) == nil {
			made[name] = l.New(name)
		}
	}
	g.entries, g.values = made[bucketEntries], made[bucketValues]
	if err := errors.Join(copyAll(g.entries, g.bucket(bucketEntries)), copyAll(g.values, g.bucket(bucketValues))); err != nil {
		return err
	}
	g.suffix = reader.Manifest().Suffix
	g.stand(reader.Manifest().Defaults)
	defer func() { err = errors.Join(err, g.close()) }()
	if err := g.readBlocks(reader); err != nil {
		return err
	}
	g.entries.SetSequence(uint64(g.first) + reader.Manifest().Entries - 1)
	return g.finish(made)
}

// isBuilt reports whether a load lays the bucket out anew.
func isBuilt(bucket string) bool {
	switch bucket {
	case bucketEntries, bucketValues, bucketChildren, bucketCounts, bucketUUIDs, bucketIndex, bucketWords, bucketNames, bucketState:
		return true
	}
	return false
}

func (g *build) readCatalog() error {
	if g.bucket(bucketNames) == nil {
		return nil
	}
	return g.catalog.load(g.old)
}

func (g *build) close() error {
	var all []error
	for _, w := range g.workers {
		all = append(all, w.children.Close(), w.uuids.Close(), w.index.Close())
	}
	return errors.Join(all...)
}

// copyAll lays out what an old bucket without nested ones holds.
func copyAll(w *replica.BucketWriter, old *bbolt.Bucket) error {
	if old == nil {
		return nil
	}
	return old.ForEach(w.Put)
}

// readBlocks has the blocks worked on in parallel. What must happen in their
// order happens in turns.
func (g *build) readBlocks(reader *directory.LoadReader) error {
	var running errgroup.Group
	n := runtime.GOMAXPROCS(0) + 1
	first, named, written := uint32(g.first), newTurns(), newTurns()
	todo := make(chan job)
	for range n {
		w := newBuildWorker(g, n)
		g.workers = append(g.workers, w)
		running.Go(func() error {
			for j := range todo {
				if err := w.work(reader, j, named, written); err != nil {
					named.abort(err)
					written.abort(err)
					return fmt.Errorf("block %d: %w", j.block, err)
				}
			}
			w.sort()
			return nil
		})
	}
	running.Go(func() error {
		defer close(todo)
		for i, b := range reader.Manifest().Blocks {
			select {
			case todo <- job{block: i, first: first, entries: b.Entries}:
			case <-named.aborted:
				return nil
			}
			first += uint32(b.Entries)
		}
		return nil
	})
	return running.Wait()
}

// job is one block to be worked on.
type job struct {
	block   int
	first   uint32 // number of its first entry
	entries uint64
}

// finish merges what was sorted into the buckets.
func (g *build) finish(made map[string]*replica.BucketWriter) error {
	var running errgroup.Group
	pick := func(of func(*buildWorker) *sorter.Sorter) (out []*sorter.Sorter) {
		for _, w := range g.workers {
			out = append(out, of(w))
		}
		return out
	}
	index := pick(func(w *buildWorker) *sorter.Sorter { return w.index })
	children := pick(func(w *buildWorker) *sorter.Sorter { return w.children })
	uuids := pick(func(w *buildWorker) *sorter.Sorter { return w.uuids })
	running.Go(func() error { return g.mergeIndex(made[bucketIndex], index) })
	running.Go(func() error {
		if err := g.mergeChildren(made[bucketChildren], made[bucketCounts], children); err != nil {
			return err
		}
		return mergeUnique(made[bucketUUIDs], g.bucket(bucketUUIDs), uuids, func([]byte) error { return nil })
	})
	running.Go(func() error {
		if err := errors.Join(g.entries.Close(), g.values.Close()); err != nil {
			return err
		}
		return g.writeCatalog(made)
	})
	if err := running.Wait(); err != nil {
		return err
	}
	return g.writeState(made[bucketState])
}

func (g *build) writeCatalog(made map[string]*replica.BucketWriter) error {
	for i, n := range g.catalog.now.names {
		if err := made[bucketNames].Put([]byte{byte(i >> 8), byte(i)}, []byte(n.text)); err != nil {
			return err
		}
	}
	for i, word := range g.catalog.now.words {
		if err := made[bucketWords].Put(appendID(nil, uint32(i)), octets(word)); err != nil {
			return err
		}
	}
	return nil
}

func (g *build) writeState(w *replica.BucketWriter) error {
	state := map[string][]byte{stateMark: newMark()}
	if old := g.bucket(bucketState); old != nil {
		err := old.ForEach(func(k, v []byte) error { state[string(k)] = v; return nil })
		if err != nil {
			return err
		}
	}
	state[stateBuilt] = builtAt(g.change)
	keys := make([]string, 0, len(state))
	for k := range state {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if err := w.Put([]byte(k), state[k]); err != nil {
			return err
		}
	}
	return nil
}
