package register

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"

	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/internal/sorter"
)

// packed is a block to be stored.
type packed struct {
	*directory.Block
	first  directory.Key
	sealed chan []byte // gives data, once
	data   []byte
}

const (
	blocksTogether = 8  // blocks in one transaction: some 400 KiB
	blocksAhead    = 16 // blocks that may wait while one commits: 3 MiB at most
	secretsAtOnce  = 10 // change bodies whose secrets one transaction stores: some 4,000 rows
)

// store merges the sorted entries into blocks and stores these, checking that
// every name is there once and its parent before it.
func (x *load) store(ctx context.Context) error {
	x.manifest = directory.LoadManifest{Suffix: x.suffix.dn, Entries: x.count, Defaults: x.defaults}
	g, running := errgroup.WithContext(ctx)
	blocks, open := make(chan packed, blocksAhead), make(chan packed, blocksAhead)
	g.Go(func() error {
		defer close(blocks)
		defer close(open)
		return x.pack(func(b *directory.Block, first directory.Key) error {
			p := packed{Block: b, first: first, sealed: make(chan []byte, 1)}
			if err := give(running, open, p); err != nil {
				return err // whoever keeps a block waits for it to be sealed
			}
			return give(running, blocks, p)
		})
	})
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			var sealer directory.BlockSealer
			for b := range open {
				b.sealed <- sealer.Seal(b.Block)
			}
			return nil
		})
	}
	g.Go(func() error { return x.keepBlocks(running, blocks) })
	if err := g.Wait(); err != nil {
		return err
	}
	return x.keepSecrets(ctx)
}

func give(ctx context.Context, to chan<- packed, p packed) error {
	select {
	case to <- p:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pack gives blocks away in the order of their keys, each with its first one.
func (x *load) pack(emit func(b *directory.Block, first directory.Key) error) error {
	var first directory.Key
	w := directory.NewBlockWriter(&x.names, func(b *directory.Block) error { return emit(b, first) })
	m, err := sorter.Merge(x.sorters...)
	if err != nil {
		return err
	}
	tree := lineage{suffix: x.suffix.key}
	done := uint64(0)
	for key, value := m.Peek(); key != nil; key, value = m.Peek() {
		entry, err := tree.follow(key, value)
		if err != nil {
			return err
		}
		if w.Empty() {
			first = directory.Key(key)
		}
		if err := w.Add(entry); err != nil {
			return err
		}
		if done++; done%10_000 == 0 {
			x.progress(LoadProgress{Stored: true, Done: done, Total: x.count})
		}
		if err := m.Skip(); err != nil {
			return err
		}
	}
	return w.Close()
}

// lineage checks the shape of the tree while its names come by in order.
type lineage struct {
	suffix directory.Key
	above  []ancestor // the last entry and those it stands below
	key    []byte     // of the last
}

// ancestor is an entry that was seen.
type ancestor struct {
	end  int // of its key within the last one's
	nth  uint64
	line int
}

// follow checks one entry and parts it from what the sorter had of it.
func (t *lineage) follow(key, value []byte) ([]byte, error) {
	a := ancestor{end: len(key), nth: uint64(binary.BigEndian.Uint32(value[4:])) + 1}
	line, n := binary.Uvarint(value[8:])
	a.line = int(line)
	entry := value[8+n:]
	for len(t.above) > 0 {
		last := t.above[len(t.above)-1]
		if bytes.HasPrefix(key, t.key[:last.end]) {
			break
		}
		t.above = t.above[:len(t.above)-1]
	}
	if err := t.check(key, entry); err != nil {
		dn, _ := directory.PackedName(entry)
		return nil, &LoadError{Line: a.line, Nth: a.nth, DN: dn, Err: err}
	}
	t.above = append(t.above, a)
	t.key = append(t.key[:0], key...)
	return entry, nil
}

func (t *lineage) check(key, entry []byte) error {
	if len(t.above) == 0 {
		if string(key) == string(t.suffix) {
			return nil
		}
		dn, err := directory.PackedName(entry)
		if err != nil {
			return err
		}
		return refuse(directory.NoSuchObject, "no entry for the suffix %q", dn[len(dn)-t.suffix.Depth():])
	}
	last := t.above[len(t.above)-1]
	if last.end == len(key) {
		return refuse(directory.EntryAlreadyExists, "the entry stands twice: %s", last.where())
	}
	if bytes.LastIndexByte(key[:len(key)-1], 0)+1 != last.end {
		dn, err := directory.PackedName(entry)
		if err != nil {
			return err
		}
		return refuse(directory.NoSuchObject, "no entry above it: %q is missing", dn.Parent())
	}
	return nil
}

func (a *ancestor) where() string {
	if a.line > 0 {
		return fmt.Sprintf("line %d", a.line)
	}
	return fmt.Sprintf("entry %d", a.nth)
}

// keepBlocks stores blocks as contents, several to a transaction.
func (x *load) keepBlocks(ctx context.Context, blocks <-chan packed) error {
	var batch []packed
	for b := range blocks {
		b.data = <-b.sealed
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
			directory.LoadBlock{Content: hashes[i], Size: int64(len(b.data)), Entries: b.Entries})
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
