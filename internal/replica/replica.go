// Package replica is a faithful copy that knows its age. It follows a journal, verifies its chain link by link, and lets
// each room arrange the changes in a bucket of its own in one bbolt file, from which all questions are answered.
//
// What it promises:
//
//   - Data and position are written in one transaction, so a copy killed at any point goes on where it was. What it shows
//     need not be on its own disk yet ([Options.SyncAfter]); after a power cut it goes on from where it was a moment before.
//   - Changes are applied in order, in whole transactions of the ledger, each exactly once per applier. A change applied
//     in slices ([ErrMore]) is visible in part while [State.Loading] says so.
//   - A gap stops it ([journal.ErrGap]), another history of the same epoch stops it ([journal.ErrDiverged]), and so does
//     a change it does not know ([ErrUnknownKind]). Trouble reaching the feed or writing the disk only delays it.
//   - A higher epoch, begun by a restore that dropped changes this copy holds, makes it build a new file while the old
//     one answers; what the dropped changes revoked is carried over ([Keeper]).
//   - It can always say "complete up to position P as of time T" ([State]), and how long ago T was on this host's
//     monotonic clock.
//   - It is disposable: a missing, damaged or outdated file is moved aside or replaced, and rebuilt from the journal.
//
// It is for the read side: nothing here can change the ledger.
package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"cardinal/internal/background"
	"cardinal/internal/journal"
)

// Options say what a replica copies and where to.
type Options struct {
	Path     string // of the file; its folder must exist. Its neighbours are Path.new, Path.next, Path.build, Path.synced and Path.damaged-TIME
	Feed     journal.Feed
	Appliers []Applier
	Logger   *slog.Logger     // nil: silent
	Now      func() time.Time // nil: time.Now, whose monotonic reading ages are counted on
	BatchMax int              // changes in one batch; 0: 512
	// SyncAfter is how long what was applied may be shown before it is on disk here; 0: not at all, each batch is synced.
	// The ledger has it on disk in either case. Killed, the copy loses nothing; after a power cut it goes on from where it
	// stood so long, or up to twice as long, before.
	SyncAfter time.Duration
	// Doubt says why nothing here may be vouched for although it is followed, as a clock that is wrong; nil: there is never a
	// reason. It is asked with each State.
	Doubt func() error
	// Beside is told of long work: many changes at once, and what appliers settle; nil: nobody.
	Beside *background.Work
	// Impatient: Follow ends at the first trouble with the feed or the disk, for a copy that nobody will make room for.
	Impatient bool

	hook func(point string) // tests: called between writes
	boot string             // the run of the system
	most int                // batches without a record
}

// defaultBatch amortises what a batch costs without making a single reader wait long for its position.
const defaultBatch = 512

// Replica is an open copy. Its methods are safe for concurrent use.
type Replica struct {
	options    Options
	pools      map[string]*pool
	generation atomic.Uint64
	moment     atomic.Pointer[moment]
	mu         sync.Mutex // guards replacing moment, and
	waiting    map[*waiter]struct{}

	files sync.RWMutex // guards file against being swapped or closed under a reader that begins
	file  *file        // nil after Close

	// Only the following goroutine uses these.
	clock     clock
	next      *file             // the file being built for a new epoch
	unsettled map[string]string // by room: why settling fails, as logged
	started   bool              // the file served has caught up and settled once

	following sync.Mutex // held by Follow
	stop      context.Context
	cancel    context.CancelFunc
	closing   sync.WaitGroup // old files waiting for their readers
}

// Open opens the copy at o.Path, or begins an empty one when there is none, when the file is damaged (it is moved aside)
// or of another layout. It does not follow: until Follow runs, the copy only ages.
func Open(_ context.Context, o Options) (*Replica, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	f, err := openOrRebuild(o)
	if err != nil {
		return nil, err
	}
	r := &Replica{options: o, file: f, pools: map[string]*pool{}, waiting: map[*waiter]struct{}{}, unsettled: map[string]string{}}
	if err := r.lag(f); err != nil {
		return nil, errors.Join(err, f.db.Close())
	}
	r.stop, r.cancel = context.WithCancel(context.Background())
	r.moment.Store(&moment{
		state: State{Epoch: f.epoch, Position: f.position, Link: f.link, Time: f.time, Loading: true,
			Quarantine: f.quarantine, ReseedRevoked: int(f.kept)},
		asOf: ageAtStart(o.Now(), f.time),
	})
	r.generation.Store(1)
	for _, a := range o.Appliers {
		r.pools[a.Name()] = &pool{name: []byte(a.Name())}
	}
	for _, a := range o.Appliers {
		if at, ok := a.(Attacher); ok {
			at.Attach(r)
		}
	}
	return r, nil
}

// clockBehind is how far in the future, by this host's clock, the time of a copy may lie before the clock is taken to be
// wrong.
const clockBehind = time.Minute

// ageAtStart is when, on this host's clock, it was t at the ledger, before any head was read: as the wall clock says. One
// that was set back behind t says nothing of the age.
func ageAtStart(now, t time.Time) time.Time {
	if t.Sub(now) > clockBehind {
		return now.Add(-forever)
	}
	return now.Add(-max(0, now.Sub(t)))
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.BatchMax <= 0 {
		o.BatchMax = defaultBatch
	}
	if o.Doubt == nil {
		o.Doubt = func() error { return nil }
	}
	if o.hook == nil {
		o.hook = func(string) {}
	}
	if o.most == 0 {
		o.most = lagBatches
	}
	if o.boot == "" {
		o.boot = bootID()
	}
	return o
}

func (o Options) check() error {
	if o.Path == "" || o.Feed == nil {
		return errors.New("opening replica: a path and a feed are needed")
	}
	seen := map[string]bool{}
	for _, a := range o.Appliers {
		if n := a.Name(); n == "" || n[0] == 0 || seen[n] {
			return fmt.Errorf("opening replica: applier name %q is empty, reserved or used twice", n)
		}
		seen[a.Name()] = true
	}
	return nil
}

// openOrRebuild loads the file, or replaces it by an empty one.
func openOrRebuild(o Options) (*file, error) {
	if err := clearNext(o.Path); err != nil {
		return nil, err
	}
	f, err := load(o)
	var damage *Damage
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, os.ErrNotExist):
		return begin(o.Path, o.Appliers)
	case errors.Is(err, errOtherLayout), errors.Is(err, errOtherFormat):
		o.Logger.Warn("rebuilding the replica", "path", o.Path, "why", err)
		return replace(o, f, "")
	case errors.As(err, &damage):
		o.Logger.Error("moving a damaged replica aside and rebuilding", "path", o.Path, "why", err)
		return replace(o, f, asideName(o))
	}
	if f != nil {
		_ = f.db.Close()
	}
	return nil, fmt.Errorf("opening replica %s: %w", o.Path, err)
}

// clearNext removes a file whose building was interrupted. Where the process ended between moving a damaged file aside
// and putting the new one in its place, the new one is put there now: it holds what was kept.
func clearNext(path string) error {
	next := path + nextSuffix
	for _, half := range []string{path + buildSuffix, next + buildSuffix} {
		if err := os.Remove(half); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("clearing up after an unfinished replica: %w", err)
		}
	}
	_, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		if err := settleRecord(path); err != nil { // of the file that was moved aside
			return err
		}
		err = os.Rename(next, path)
	} else {
		err = os.Remove(next)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("clearing up after an unfinished replica: %w", err)
	}
	return nil
}

func asideName(o Options) string {
	return fmt.Sprintf("%s.damaged-%s", o.Path, o.Now().UTC().Format("20060102T150405.000000"))
}

// Close stops Follow, waits until it and every snapshot has ended, and closes the file.
func (r *Replica) Close() error {
	r.cancel()
	r.following.Lock()
	defer r.following.Unlock()
	r.change(func(m *moment) {
		if m.stopped == nil {
			m.stopped = ErrClosed
		}
	})
	r.files.Lock()
	f := r.file
	r.file = nil
	r.files.Unlock()
	if f == nil {
		return nil
	}
	r.turn()
	r.closing.Wait()
	err := errors.Join(f.sync(), f.db.Close())
	if r.next != nil {
		err = errors.Join(err, r.next.db.Close(), os.Remove(r.next.path))
	}
	if err != nil {
		return fmt.Errorf("closing replica %s: %w", filepath.Base(r.options.Path), err)
	}
	return nil
}

// turn begins a new generation: no idle snapshot of an older one stays.
func (r *Replica) turn() {
	r.generation.Add(1)
	for _, p := range r.pools {
		p.drain()
	}
}
