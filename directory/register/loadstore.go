package register

import (
	"bytes"
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// packed is a block ready to be stored.
type packed struct {
	first   directory.Key
	entries uint64
	data    []byte
}

const (
	blocksTogether = 8  // blocks in one transaction: some 400 KiB
	secretsAtOnce  = 10 // change bodies whose secrets one transaction stores: some 4,000 rows
)

// store merges the sorted entries into blocks and stores these, checking that
// every name is there once and its parent before it.
func (x *load) store(ctx context.Context) error {
	x.manifest = directory.LoadManifest{Suffix: x.suffix.dn, Entries: x.count, Defaults: x.defaults}
	g, running := errgroup.WithContext(ctx)
	blocks := make(chan packed, blocksTogether)
	g.Go(func() error {
		defer close(blocks)
		return x.pack(running, blocks)
	})
	g.Go(func() error { return x.keepBlocks(running, blocks) })
	if err := g.Wait(); err != nil {
		return err
	}
	return x.keepSecrets(ctx)
}

func (x *load) pack(ctx context.Context, blocks chan<- packed) error {
	w := directory.NewBlockWriter(x.defaults, func(first directory.DN, entries uint64, data []byte) error {
		key, err := x.r.schema.Key(first)
		if err != nil {
			return err
		}
		select {
		case blocks <- packed{key, entries, bytes.Clone(data)}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	tree := lineage{suffix: x.suffix.key}
	done := uint64(0)
	err := x.sorter.merge(func(s sorted) error {
		added, err := directory.ParseEntryAdded(s.record)
		if err != nil {
			return err
		}
		if err := tree.follow(s, added.Entry.DN); err != nil {
			return &LoadError{Line: s.line, Nth: s.nth, DN: added.Entry.DN, Err: err}
		}
		if done++; done%10_000 == 0 {
			x.progress(LoadProgress{Stored: true, Done: done, Total: x.count})
		}
		return w.Add(added.UUID, added.Entry)
	})
	if err != nil {
		return err
	}
	return w.Close()
}

// lineage checks the shape of the tree while its names come by in order.
type lineage struct {
	suffix directory.Key
	above  []sorted // the last entry and its ancestors
}

func (t *lineage) follow(s sorted, dn directory.DN) error {
	n := len(t.above)
	if n > 0 && t.above[n-1].key == s.key {
		return refuse(directory.EntryAlreadyExists, "the entry stands twice: %s", t.above[n-1].where())
	}
	for n > 0 && !t.above[n-1].key.Contains(s.key) {
		n--
	}
	t.above = t.above[:n]
	if n == 0 && s.key != t.suffix {
		return refuse(directory.NoSuchObject, "no entry for the suffix %q", dn[len(dn)-t.suffix.Depth():])
	}
	if n > 0 && t.above[n-1].key != s.key.Parent() {
		return refuse(directory.NoSuchObject, "no entry above it: %q is missing", dn.Parent())
	}
	s.record = nil
	t.above = append(t.above, s)
	return nil
}

func (s *sorted) where() string {
	if s.line > 0 {
		return fmt.Sprintf("line %d", s.line)
	}
	return fmt.Sprintf("entry %d", s.nth)
}

// keepBlocks stores blocks as contents, several to a transaction.
func (x *load) keepBlocks(ctx context.Context, blocks <-chan packed) error {
	var batch []packed
	for b := range blocks {
		if batch = append(batch, b); len(batch) < blocksTogether {
			continue
		}
		if err := x.keep(ctx, batch); err != nil {
			return err
		}
		batch = batch[:0]
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return x.keep(ctx, batch)
}

func (x *load) keep(ctx context.Context, batch []packed) error {
	hashes := make([]journal.Hash, len(batch))
	_, err := x.job.Ledger.Write(ctx, func(tx *ledger.Tx) error {
		for i, b := range batch {
			var err error
			if hashes[i], err = tx.PutContent(b.data); err != nil {
				return err
			}
			tx.Defer(`INSERT INTO directory_block (load, first, content) VALUES ($1, $2, $3)`,
				x.id[:], []byte(b.first), hashes[i][:])
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("storing blocks: %w", err)
	}
	for i, b := range batch {
		x.manifest.Blocks = append(x.manifest.Blocks,
			directory.LoadBlock{Content: hashes[i], Size: int64(len(b.data)), Entries: b.entries})
	}
	return nil
}

// keepSecrets stores the secrets' rows; they belong to nobody until finish.
func (x *load) keepSecrets(ctx context.Context) error {
	x.secrets.flush()
	for from := 0; from < len(x.secrets.bodies); from += secretsAtOnce {
		part := x.secrets.bodies[from:min(from+secretsAtOnce, len(x.secrets.bodies))]
		_, err := x.job.Ledger.Write(ctx, func(tx *ledger.Tx) error {
			for _, body := range part {
				c, err := directory.ParseSecretsChanged(body)
				if err != nil {
					return err
				}
				for i := range c.Secrets {
					storeSecret(tx, &c.Secrets[i])
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("storing secrets: %w", err)
		}
	}
	return nil
}
