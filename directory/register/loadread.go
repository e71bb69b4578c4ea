package register

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"cardinal/directory"
	"cardinal/internal/sorter"
)

// randomID names a load, an entry.
func randomID() (id [16]byte) {
	rand.Read(id[:])
	return id
}

// loadWorker reads pieces. It keeps what entries have in common.
type loadWorker struct {
	*load
	intake  *directory.Intake
	packer  *directory.EntryPacker
	sorter  *sorter.Sorter
	above   map[*directory.AVA]directory.Key // of names that entries of a piece share, by where they are
	key     []byte
	value   []byte
	entries uint64
}

// piece is a LoadPiece and where its first entry stands in the whole.
type piece struct {
	*LoadPiece
	number uint64
}

// item is one entry on its way through a load.
type item struct {
	number  uint64 // of the piece, then within it: the order of the input
	line    int
	uuid    directory.UUID
	brought bool // the UUID came with the entry
	secrets []directory.Attribute
}

// read reads, checks and sorts all entries: one goroutine gives pieces, as many
// as there are processors take them.
func (x *load) read(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	pieces := make(chan piece)
	g.Go(func() error {
		defer close(pieces)
		return x.give(ctx, pieces)
	})
	workers := runtime.GOMAXPROCS(0)
	for range workers {
		w := x.newWorker(workers)
		g.Go(func() error { return w.work(ctx, pieces) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if x.job.Rest != nil {
		w := x.newWorker(workers)
		for _, e := range x.job.Rest() {
			if err := w.take(&item{}, e); err != nil {
				return &LoadError{DN: e.DN, Err: err}
			}
		}
		w.collect()
	}
	if x.count == 0 {
		return refuse(directory.NoSuchObject, "no entries to load into %q", x.job.Suffix)
	}
	return nil
}

func (x *load) newWorker(of int) *loadWorker {
	w := &loadWorker{load: x, intake: x.r.schema.NewIntake(), packer: directory.NewEntryPacker(&x.names),
		sorter: sorter.New(x.r.config.TempDir, x.r.config.SortMemory/of), above: map[*directory.AVA]directory.Key{}}
	x.sorters = append(x.sorters, w.sorter)
	return w
}

func (x *load) give(ctx context.Context, pieces chan<- piece) error {
	for n := uint64(0); ; n++ {
		p, err := x.job.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading entries: %w", err)
		}
		select {
		case pieces <- piece{p, n << pieceBits}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pieceBits is room for the entries of a piece in the number of an entry.
const pieceBits = 32

func (w *loadWorker) work(ctx context.Context, pieces <-chan piece) error {
	for p := range pieces {
		if err := w.piece(p); err != nil {
			return err
		}
		w.collect()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	w.sorter.Sort()
	return ctx.Err()
}

func (w *loadWorker) piece(p piece) error {
	clear(w.above)
	for number := p.number; ; number++ {
		e, line, err := p.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && p.File != "":
			return fmt.Errorf("%s: %w", p.File, err)
		case err != nil:
			return fmt.Errorf("reading entries: %w", err)
		}
		dn := e.DN
		if err := w.take(&item{number: number, line: line}, e); err != nil {
			return &LoadError{File: p.File, Line: line, Nth: uint64(uint32(number)) + 1, DN: dn, Err: err}
		}
	}
}

// collect tells how many entries have come.
func (w *loadWorker) collect() {
	w.collected.Lock()
	defer w.collected.Unlock()
	w.count += w.entries
	w.entries = 0
	w.progress(LoadProgress{Done: w.count})
}

// take checks an entry, packs it and sorts it in.
func (w *loadWorker) take(it *item, e *directory.Entry) error {
	if err := w.place(e.DN); err != nil {
		return err
	}
	brought, err := importable(w.intake.Type, e)
	if err != nil {
		return err
	}
	if brought != nil {
		it.uuid, it.brought = *brought, true
	}
	e, err = w.canonical(it, e)
	if err != nil {
		return err
	}
	if len(it.secrets) > 0 || it.brought {
		w.apart(it)
	}
	w.value = binary.BigEndian.AppendUint64(w.value[:0], it.number)
	w.value = binary.AppendUvarint(w.value, uint64(it.line))
	w.value = w.packer.Append(w.value, it.uuid, e)
	w.entries++
	return w.sorter.Add(w.key, w.value)
}

// place makes the key of a name.
func (w *loadWorker) place(dn directory.DN) error {
	if len(dn) > len(w.suffix.dn)+1 {
		above, err := w.parent(dn[1:])
		if err != nil {
			return err
		}
		w.key, err = w.r.schema.AppendKey(append(w.key[:0], above...), dn[:1])
		if err == nil && len(w.key) > maxKey {
			err = refuse(directory.AdminLimitExceeded, "a name of more than %d bytes", maxKey)
		}
		return err
	}
	key, err := w.located(dn)
	w.key = append(w.key[:0], key...)
	return err
}

// parent makes the key of a name entries of the piece stand below, once.
func (w *loadWorker) parent(dn directory.DN) (directory.Key, error) {
	if len(dn) <= len(w.suffix.dn) {
		return w.located(dn)
	}
	key, ok := w.above[&dn[0][0]]
	if ok {
		return key, nil
	}
	above, err := w.parent(dn[1:])
	if err != nil {
		return "", err
	}
	made, err := w.r.schema.AppendKey([]byte(above), dn[:1])
	if err != nil {
		return "", err
	}
	key = directory.Key(made)
	w.above[&dn[0][0]] = key
	return key, nil
}

func (w *loadWorker) located(dn directory.DN) (directory.Key, error) {
	p, err := w.r.locate(dn)
	if err == nil && p.suffix != w.suffix {
		err = refuse(directory.NoSuchObject, "not below %q", w.job.Suffix)
	}
	return p.key, err
}

// canonical brings an entry into the form in which it is stored.
func (w *loadWorker) canonical(it *item, e *directory.Entry) (*directory.Entry, error) {
	secret := slices.ContainsFunc(e.Attributes, func(a directory.Attribute) bool { return w.r.isSecret(w.intake.Type(a.Type)) })
	if !secret {
		if class, ok := w.intake.Take(e); ok {
			e.Attributes = append(e.Attributes, directory.Attribute{Type: "structuralObjectClass", Values: class.NameValue()})
			return e, nil
		}
	}
	s, secrets, err := w.r.prepare(place{}, e)
	if err != nil {
		return nil, err
	}
	for i := range secrets {
		secrets[i].Values = w.r.sealed(secrets[i].Type, secrets[i].Values)
	}
	it.secrets = secrets
	return s.entry, nil
}

// apart keeps what does not travel with the entry.
func (w *loadWorker) apart(it *item) {
	if !it.brought {
		it.uuid = randomID()
	}
	w.collected.Lock()
	defer w.collected.Unlock()
	if it.brought {
		w.uuids = append(w.uuids, it.uuid)
	}
	w.secrets.add(it)
}

// importable drops from an entry the operational attributes an import does not
// decide, and takes entryUUID out of it. The entry is changed in place.
func importable(typeOf func(description string) *directory.AttributeType, e *directory.Entry) (brought *directory.UUID, err error) {
	kept := e.Attributes[:0]
	for _, a := range e.Attributes {
		t := typeOf(a.Type)
		if t == nil || !t.NoUserModification {
			kept = append(kept, a)
			continue
		}
		switch t.Name() {
		case "creatorsName", "createTimestamp", "modifiersName", "modifyTimestamp":
			kept = append(kept, a)
		case "entryUUID":
			if len(a.Values) != 1 {
				return nil, refuse(directory.ConstraintViolation, "attribute 'entryUUID' cannot have multiple values")
			}
			u, ok := directory.ParseUUID(a.Values[0])
			if !ok {
				return nil, refuse(directory.InvalidAttributeSyntax, "entryUUID: not a UUID")
			}
			id := directory.UUID(u)
			brought = &id
		}
	}
	e.Attributes = kept
	return brought, nil
}

// secretBodies collects secrets as the bodies of as few changes as hold them.
type secretBodies struct {
	open   directory.SecretsChanged
	size   int
	bodies [][]byte
}

func (b *secretBodies) add(it *item) {
	for _, a := range it.secrets {
		n := 32 + len(a.Type)
		for _, v := range a.Values {
			n += len(v) + 4
		}
		if b.size+n > partBytes {
			b.flush()
		}
		b.size += n
		b.open.Secrets = append(b.open.Secrets, directory.Secret{UUID: it.uuid, Attribute: a.Type, Values: a.Values})
	}
}

func (b *secretBodies) flush() {
	if len(b.open.Secrets) > 0 {
		b.bodies = append(b.bodies, b.open.Append(nil))
	}
	b.open, b.size = directory.SecretsChanged{}, 0
}
