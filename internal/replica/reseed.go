package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"

	"cardinal/internal/journal"
)

// nextSuffix marks the file that is being built beside the one that is served.
const nextSuffix = ".next"

// reseed begins a new file for the head's epoch. The old one is served on, and ages, until swap.
func (r *Replica) reseed(head journal.Head) (*file, error) {
	r.options.Logger.Warn("the ledger began a new epoch without changes this copy holds; rebuilding",
		"epoch", head.Epoch, "was", r.file.epoch, "position", r.file.position)
	next, err := rebuildBeside(r.options, r.file, r.next)
	if err != nil {
		return nil, err
	}
	r.next = next
	r.change(func(m *moment) {
		m.state.Reseeding = true
		m.state.Quarantine = m.state.Quarantine || head.Quarantine
	})
	return next, nil
}

// rebuildBeside makes an empty file next to the served one, with what was kept from earlier epochs.
func rebuildBeside(o Options, old, unfinished *file) (*file, error) {
	if unfinished != nil {
		if err := unfinished.db.Close(); err != nil {
			return nil, fmt.Errorf("closing an unfinished replica: %w", err)
		}
	}
	path := o.Path + nextSuffix
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("removing an unfinished replica: %w", err)
	}
	next, err := create(path, o.Appliers)
	if err != nil {
		return nil, err
	}
	if old == nil {
		return next, nil
	}
	var damage *Damage
	switch err := copyKept(old, next); {
	case errors.As(err, &damage):
		o.Logger.Error("what was kept from a dropped history is lost with the damaged replica", "why", err)
	case err != nil:
		return nil, errors.Join(fmt.Errorf("carrying over what was kept: %w", err), next.db.Close())
	}
	return next, nil
}

// copyKept carries over the changes kept from dropped histories.
func copyKept(old, next *file) error {
	return guarded("reading what was kept", func() error {
		return old.db.View(func(from *bbolt.Tx) error {
			kept := from.Bucket([]byte(keptBucket))
			if kept == nil {
				return nil
			}
			return next.db.Update(func(to *bbolt.Tx) error {
				b := to.Bucket([]byte(keptBucket))
				err := kept.ForEach(func(k, v []byte) error {
					next.kept++
					return b.Put(k, v)
				})
				if err != nil {
					return err
				}
				return writeProgress(to, &next.progress)
			})
		})
	})
}

// swap serves the new file. Readers of the old one finish in peace; its name is gone at once.
func (r *Replica) swap() error {
	next := r.next
	if err := r.file.sync(); err != nil {
		return fmt.Errorf("replacing the replica: %w", err)
	}
	if err := os.Rename(next.path, r.options.Path); err != nil {
		return fmt.Errorf("replacing the replica: %w", err)
	}
	if err := syncDir(r.options.Path); err != nil {
		return fmt.Errorf("replacing the replica: %w", err)
	}
	next.path = r.options.Path
	if err := r.lag(next); err != nil {
		return fmt.Errorf("replacing the replica: %w", err)
	}
	r.files.Lock()
	old := r.file
	r.file = next
	r.files.Unlock()
	r.next, r.started = nil, false
	r.turn()
	for _, a := range r.options.Appliers {
		a.Reset()
	}
	r.closing.Add(1)
	go func() {
		defer r.closing.Done()
		if err := guarded("closing it", old.db.Close); err != nil {
			r.options.Logger.Warn("closing a replaced replica", "why", err)
		}
	}()
	r.change(func(m *moment) {
		m.state.Reseeding, m.state.Loading = false, true
		m.state.Epoch, m.state.Position, m.state.Link = next.epoch, next.position, next.link
		m.state.Time, m.asOf = next.time, r.clock.asOf(next.time)
	})
	return nil
}

// startOver replaces a file found damaged while in use by an empty one, and keeps the damaged one for examination.
func (r *Replica) startOver(why error) error {
	r.options.Logger.Error("moving a damaged replica aside and rebuilding", "path", r.options.Path, "why", why)
	next, err := rebuildBeside(r.options, r.file, r.next)
	if err != nil {
		return err
	}
	if err := os.Rename(r.options.Path, asideName(r.options)); err != nil {
		return errors.Join(fmt.Errorf("moving a damaged replica aside: %w", err), next.db.Close())
	}
	r.file.leave()
	r.next = next
	if err := errors.Join(syncDir(r.options.Path), settleRecord(r.options.Path)); err != nil {
		return fmt.Errorf("moving a damaged replica aside: %w", err)
	}
	return r.swap()
}

// replace puts an empty file with what was kept from dropped histories in the place of old, which may be nil if it could
// not be opened. With aside, the old file is kept under that name.
func replace(o Options, old *file, aside string) (*file, error) {
	next, err := rebuildBeside(o, old, nil)
	if old != nil {
		// Closing may itself run into damage; the file is given up anyway.
		err = errors.Join(err, ignoreDamage(guarded("closing it", old.db.Close)))
	}
	if err == nil && aside != "" {
		err = errors.Join(os.Rename(o.Path, aside), syncDir(o.Path))
	}
	if err == nil {
		err = settleRecord(o.Path)
	}
	if err == nil {
		err = errors.Join(os.Rename(o.Path+nextSuffix, o.Path), syncDir(o.Path))
	}
	if err != nil {
		if next != nil {
			err = errors.Join(err, next.db.Close())
		}
		return nil, fmt.Errorf("replacing the replica: %w", err)
	}
	next.path = o.Path
	return next, nil
}

func ignoreDamage(err error) error {
	var damage *Damage
	if errors.As(err, &damage) {
		return nil
	}
	return err
}

// epoch notes a new epoch and applies what is kept from the history it dropped.
func (w *writer) epoch(p *progress, c journal.Change) error {
	began, err := journal.ParseEpochBegan(c.Body)
	if err != nil {
		return &applyError{err}
	}
	old := w.r.file
	if w.rebuild && p.epoch <= old.epoch && began.Epoch > old.epoch {
		if err := w.keepDropped(p, c.Position); err != nil {
			return err
		}
	}
	p.epoch = max(p.epoch, began.Epoch)
	return w.applyKept(c)
}

// keepDropped takes over from the old file what it holds because of changes at or after the position at which the new
// epoch began.
func (w *writer) keepDropped(p *progress, began journal.Position) error {
	bucket := w.tx.Bucket([]byte(keptBucket))
	start := binary.BigEndian.AppendUint64(nil, uint64(began))
	c := bucket.Cursor()
	for k, _ := c.Seek(start); k != nil; k, _ = c.Seek(start) {
		if err := c.Delete(); err != nil {
			return err
		}
		p.kept--
	}
	return w.r.file.db.View(func(old *bbolt.Tx) error {
		for _, a := range w.r.options.Appliers {
			k, ok := a.(Keeper)
			if !ok {
				continue
			}
			err := k.Kept(old.Bucket([]byte(a.Name())), began-1, func(kind journal.Kind, version uint8, body []byte) error {
				p.kept++
				key := binary.BigEndian.AppendUint64(nil, uint64(began))
				key = binary.BigEndian.AppendUint64(key, p.kept)
				return bucket.Put(key, appendKept(a.Name(), kind, version, body))
			})
			if err != nil {
				return &applyError{fmt.Errorf("%s: keeping what was dropped: %w", a.Name(), err)}
			}
		}
		return nil
	})
}

// applyKept applies the changes kept for the epoch that c began.
func (w *writer) applyKept(c journal.Change) error {
	start := binary.BigEndian.AppendUint64(nil, uint64(c.Position))
	cursor := w.tx.Bucket([]byte(keptBucket)).Cursor()
	for k, v := cursor.Seek(start); len(k) >= 8 && binary.BigEndian.Uint64(k) == uint64(c.Position); k, v = cursor.Next() {
		name, kept, err := parseKept(v)
		if err != nil {
			return &applyError{err}
		}
		kept.Position, kept.Time, kept.Last = c.Position, c.Time, true
		if err := w.applyTo(name, kept); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) applyTo(name string, c journal.Change) error {
	for i, a := range w.r.options.Appliers {
		if a.Name() != name {
			continue
		}
		err := ErrMore
		for errors.Is(err, ErrMore) {
			err = a.Apply(w.batch(i, &progress{position: c.Position}, c), c)
		}
		if err != nil {
			return classify(name, err)
		}
	}
	return nil
}

func appendKept(applier string, kind journal.Kind, version uint8, body []byte) []byte {
	e := journal.NewEncoder(nil)
	e.AppendString(applier)
	e.AppendUint(uint64(kind))
	e.AppendUint(uint64(version))
	e.AppendBytes(body)
	return e.Bytes()
}

func parseKept(raw []byte) (applier string, c journal.Change, err error) {
	d := journal.NewDecoder(raw)
	applier = d.String()
	c.Kind = journal.Kind(d.UintMax(1<<16 - 1))
	c.Version = uint8(d.UintMax(255))
	c.Body = d.Bytes()
	if err := d.End(); err != nil {
		return "", c, fmt.Errorf("reading a kept change: %w", err)
	}
	return applier, c, nil
}

// Kept calls fn with every change that is kept because a restore dropped it, in order: which applier holds it, and its
// kind, version and body. An operator who accepts or merges what was lost needs the list.
func (r *Replica) Kept(fn func(applier string, c journal.Change) error) error {
	tx, err := r.beginRead()
	if err != nil {
		return fmt.Errorf("reading what was kept: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	return tx.Bucket([]byte(keptBucket)).ForEach(func(k, v []byte) error {
		applier, c, err := parseKept(v)
		if err != nil {
			return &Damage{What: "a kept change", Err: err}
		}
		c.Position = journal.Position(binary.BigEndian.Uint64(k))
		return fn(applier, c)
	})
}
