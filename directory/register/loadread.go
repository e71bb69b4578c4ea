package register

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"runtime"

	"golang.org/x/sync/errgroup"

	"cardinal/directory"
)

// randomID names a load, an entry.
func randomID() (id [16]byte) {
	rand.Read(id[:])
	return id
}

// item is one entry on its way through a load.
type item struct {
	nth   uint64
	line  int
	entry *directory.Entry

	key     directory.Key
	uuid    directory.UUID
	brought bool // the UUID came with the entry
	record  []byte
	secrets []directory.Attribute
}

const itemsTogether = 128 // entries handed from goroutine to goroutine at once

// read reads, checks and sorts all entries: one goroutine calls Next, as many
// as there are processors prepare, one collects.
func (x *load) read(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	given := make(chan []*item, 4)
	ready := make(chan []*item, 4)
	g.Go(func() error {
		defer close(given)
		return x.give(ctx, given)
	})
	workers, wctx := errgroup.WithContext(ctx)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() error { return x.work(wctx, given, ready) })
	}
	g.Go(func() error {
		defer close(ready)
		return workers.Wait()
	})
	g.Go(func() error { return x.collect(ctx, ready) })
	if err := g.Wait(); err != nil {
		return err
	}
	if x.count == 0 {
		return refuse(directory.NoSuchObject, "no entries to load into %q", x.job.Suffix)
	}
	return x.distinctUUIDs()
}

func send(ctx context.Context, to chan<- []*item, items []*item) error {
	select {
	case to <- items:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (x *load) give(ctx context.Context, given chan<- []*item) error {
	batch := make([]*item, 0, itemsTogether)
	for nth := uint64(1); ; nth++ {
		e, err := x.job.Next()
		if errors.Is(err, io.EOF) {
			return send(ctx, given, batch)
		}
		if err != nil {
			return fmt.Errorf("reading entry %d: %w", nth, err)
		}
		it := &item{nth: nth, entry: e}
		if x.job.Line != nil {
			it.line = x.job.Line()
		}
		if batch = append(batch, it); len(batch) < itemsTogether {
			continue
		}
		if err := send(ctx, given, batch); err != nil {
			return err
		}
		batch = make([]*item, 0, itemsTogether)
	}
}

func (x *load) work(ctx context.Context, given <-chan []*item, ready chan<- []*item) error {
	for batch := range given {
		for _, it := range batch {
			if err := x.prepare(it); err != nil {
				return it.failed(err)
			}
		}
		if err := send(ctx, ready, batch); err != nil {
			return err
		}
	}
	return nil
}

func (it *item) failed(err error) error {
	return &LoadError{Line: it.line, Nth: it.nth, DN: it.entry.DN, Err: err}
}

// prepare makes an entry's key and record.
func (x *load) prepare(it *item) error {
	p, err := x.r.locate(it.entry.DN)
	if err != nil {
		return err
	}
	if p.suffix != x.suffix {
		return refuse(directory.NoSuchObject, "not below %q", x.job.Suffix)
	}
	kept, err := x.importable(it)
	if err != nil {
		return err
	}
	s, secrets, err := x.r.prepare(p, kept)
	if err != nil {
		return err
	}
	for i := range secrets {
		secrets[i].Values = sealed(secrets[i].Values)
	}
	if !it.brought {
		it.uuid = randomID()
	}
	it.key, it.secrets = p.key, secrets
	added := directory.EntryAdded{UUID: it.uuid, Entry: s.entry}
	it.record = added.Append(nil)
	it.entry = &directory.Entry{DN: it.entry.DN}
	return nil
}

// importable drops the operational attributes an import does not decide and
// takes entryUUID.
func (x *load) importable(it *item) (*directory.Entry, error) {
	out, u, err := importable(x.r.schema, it.entry)
	if u != nil {
		it.uuid, it.brought = *u, true
	}
	return out, err
}

func importable(schema *directory.Schema, e *directory.Entry) (out *directory.Entry, brought *directory.UUID, err error) {
	out = &directory.Entry{DN: e.DN, Attributes: make([]directory.Attribute, 0, len(e.Attributes)+2)}
	for _, a := range e.Attributes {
		t := schema.Attribute(a.Type)
		if t == nil || !t.NoUserModification {
			out.Attributes = append(out.Attributes, a)
			continue
		}
		switch t.Name() {
		case "creatorsName", "createTimestamp", "modifiersName", "modifyTimestamp":
			out.Attributes = append(out.Attributes, a)
		case "entryUUID":
			if len(a.Values) != 1 {
				return nil, nil, refuse(directory.ConstraintViolation, "attribute 'entryUUID' cannot have multiple values")
			}
			u, ok := directory.ParseUUID(a.Values[0])
			if !ok {
				return nil, nil, refuse(directory.InvalidAttributeSyntax, "entryUUID: not a UUID")
			}
			id := directory.UUID(u)
			brought = &id
		}
	}
	return out, brought, nil
}

func (x *load) collect(ctx context.Context, ready <-chan []*item) error {
	for batch := range ready {
		for _, it := range batch {
			if err := x.sorter.add(it); err != nil {
				return err
			}
			if it.brought {
				x.uuids = append(x.uuids, it.uuid)
			}
			x.secrets.add(it)
		}
		x.count += uint64(len(batch))
		x.progress(LoadProgress{Done: x.count})
	}
	return ctx.Err()
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
