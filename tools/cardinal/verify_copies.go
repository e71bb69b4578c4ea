package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/internal/replica"
	"cardinal/ocsp"
)

// checkCopies rebuilds the replica from the journal and compares: the live file item by item with
// the rebuilt one at the same position, then the statuses and the entries of record with the
// rebuilt one at the head.
func (v *verifier) checkCopies(ctx context.Context, tx *ledger.Tx) error {
	d, err := loadDirectory(v.folder, v.config)
	if err != nil {
		return err
	}
	v.directory = d
	dir, remove, err := v.scratch()
	if err != nil {
		return err
	}
	defer remove()
	rebuilt := filepath.Join(dir, "rebuilt.db")
	if err := v.checkLive(ctx, dir, rebuilt); err != nil {
		return err
	}
	entries, err := d.register()
	if err != nil {
		return err
	}
	v.a.say("rebuilding a replica up to position %d", v.head.Position)
	return v.rebuild(ctx, rebuilt, v.head, func(of *readSide) error {
		if err := v.checkTable(of.table); err != nil {
			return err
		}
		return v.checkEntries(tx, of.tree, entries)
	})
}

// checkLive compares the replica in use with a rebuilt one that stands where it stands.
func (v *verifier) checkLive(ctx context.Context, dir, rebuilt string) error {
	live, err := v.openLive(ctx, filepath.Join(dir, "copy.db"))
	if err != nil {
		v.found("replica", "%v", err)
		return nil
	}
	if live == nil {
		v.a.say("there is no replica yet: it is made when cardinal serve first runs")
		return nil
	}
	defer live.Close()
	if err := live.Check(); err != nil {
		v.found("replica", "%v", err)
		return nil
	}
	state := live.State()
	head := journal.Head{Epoch: state.Epoch, Position: state.Position, Link: state.Link, Time: v.head.Time}
	if state.Epoch != v.head.Epoch {
		v.found("replica", "it follows epoch %d, the ledger is in epoch %d", state.Epoch, v.head.Epoch)
		return nil
	}
	if state.Loading {
		v.a.say("the replica is half way through a load: it is compared by its own check only")
		return nil
	}
	if state.Position > v.head.Position {
		return v.aheadOf(ctx, state)
	}
	v.a.say("rebuilding a replica up to position %d", state.Position)
	err = v.rebuild(ctx, rebuilt, head, func(*readSide) error { return nil })
	if errors.Is(err, journal.ErrDiverged) {
		v.found("replica", "at position %d it carries another link than the journal", state.Position)
		return nil
	}
	if err != nil {
		return err
	}
	return v.compareFiles(live, rebuilt)
}

// aheadOf judges a replica that has seen more than the snapshot: it may have moved on while verify
// read the journal, or the ledger may be an old one.
func (v *verifier) aheadOf(ctx context.Context, state replica.State) error {
	head, err := v.ledger.Feed().Head(ctx)
	if err != nil {
		return fmt.Errorf("reading the head: %w", err)
	}
	if state.Position > head.Position {
		v.found("replica", "it stands at position %d, the ledger only at %d: the ledger is an old one", state.Position, head.Position)
		return nil
	}
	v.a.say("the replica moved on while verify was reading: it is compared by its own check only")
	return nil
}

func (v *verifier) compareFiles(live *replica.File, rebuilt string) error {
	fresh, err := replica.OpenFile(rebuilt)
	if err != nil {
		return fmt.Errorf("opening the rebuilt replica: %w", err)
	}
	defer fresh.Close()
	for _, name := range v.appliers() {
		is, err1 := live.Layout(name)
		should, err2 := fresh.Layout(name)
		if err := errors.Join(err1, err2); err != nil {
			v.found("replica", "reading its layout: %v", err)
			continue
		}
		if is != should {
			v.a.say("the replica's %s were laid out by another version (%d, now %d): serve lays them out anew, and they are not compared", name, is, should)
			continue
		}
		for difference, err := range replica.Compare(live, fresh, name) {
			if err != nil {
				v.found("replica", "reading %s: %v", name, err)
				break
			}
			v.found("replica "+name+" "+difference.Key, "holds %s, should hold %s", text(difference.A), text(difference.B))
		}
	}
	return nil
}

// checkTable compares the rebuilt copy's statuses with verify's own reading of the journal.
func (v *verifier) checkTable(table *ocsp.Table) error {
	all := v.model.roll
	bar := v.a.progress("statuses", int64(all.len()))
	defer bar.finish()
	return spread(&v.findings, bar, func(give func(*recorded)) error {
		for _, c := range all.all() {
			give(c)
		}
		return nil
	}, func(c *recorded, f *findings) {
		status, err := table.Status(all.issuerOf(c), c.serial())
		switch should := v.model.statusOf(c); {
		case err != nil:
			f.found("status of "+c.hex(), "a rebuilt replica answers: %v", err)
		case !sameStatus(status, should):
			f.found("status of "+c.hex(), "a rebuilt replica says %s, the journal %s", statusText(status), statusText(should))
		}
	})
}

// upTo is a feed that ends at a position: what the journal was like then.
type upTo struct {
	journal.Feed
	head journal.Head
}

func (f upTo) Head(ctx context.Context) (journal.Head, error) { return f.head, nil }

func (f upTo) Read(ctx context.Context, after journal.Position, limit int) ([]journal.Change, error) {
	if after >= f.head.Position {
		return nil, nil
	}
	changes, err := f.Feed.Read(ctx, after, limit)
	for i := range changes {
		if changes[i].Position > f.head.Position {
			return changes[:i], err
		}
	}
	return changes, err
}

// Wait never returns early: nothing newer will come.
func (f upTo) Wait(ctx context.Context, _ journal.Position) error {
	<-ctx.Done()
	return ctx.Err()
}

// rebuild follows the journal into the file at path as far as head says and shows what came of it.
func (v *verifier) rebuild(ctx context.Context, path string, head journal.Head, show func(*readSide) error) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	of, err := openCopy(ctx, v.directory, replica.Options{Path: path, Feed: upTo{v.ledger.Feed(), head}, Impatient: true})
	if err != nil {
		return fmt.Errorf("rebuilding a replica: %w", err)
	}
	defer closeInto(&err, of)
	begun := of.replica.State().Position
	followed := make(chan error, 1)
	go func() { followed <- of.replica.Follow(ctx) }()
	reached := make(chan error, 1)
	go func() { reached <- of.replica.WaitFor(ctx, head.Position) }()
	stuck, stop := standstill(of.replica)
	defer stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	bar := v.a.progress("changes copied", int64(head.Position-begun))
	for waiting := true; waiting; bar.to(int64(of.replica.State().Position - begun)) {
		select {
		case err = <-followed:
			waiting = false
		case err = <-stuck:
			waiting = false
		case err = <-reached:
			waiting = false
		case <-tick.C:
		}
	}
	bar.finish()
	if err != nil {
		return fmt.Errorf("rebuilding a replica: %w", err)
	}
	err = show(of)
	cancel()
	<-followed
	return err
}

// patience is how long a rebuild may go without a commit.
const patience = time.Minute

var errStandstill = errors.New("nothing could be written for a minute")

// standstill tells when the replica has not committed anything for too long.
func standstill(r *replica.Replica) (stuck <-chan error, stop func()) {
	found, done := make(chan error, 1), make(chan struct{})
	go func() {
		for last := r.Generation(); ; {
			select {
			case <-done:
				return
			case <-time.After(patience):
			}
			now := r.Generation()
			if now == last {
				found <- errStandstill
				return
			}
			last = now
		}
	}()
	return found, func() { close(done) }
}
