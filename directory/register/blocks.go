package register

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"

	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

func sumOf(v []byte) [32]byte { return sha256.Sum256(v) }

// block is a block of a load. Its entries are decoded when they are asked for:
// who wants one of them, or changes one value of each, need not pay for all.
type block struct {
	first []byte // as directory_block has it
	keys  []directory.Key
	index *directory.BlockIndex
}

// blockCache keeps the blocks used last. They are named by their content and
// never change.
type blockCache struct {
	mu    sync.Mutex
	order []journal.Hash // oldest first
	held  map[journal.Hash]*block
}

// cachedBlocks bounds the cache: some 300 KiB each.
const cachedBlocks = 16

func newBlockCache() *blockCache { return &blockCache{held: map[journal.Hash]*block{}} }

func (c *blockCache) get(h journal.Hash) *block {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.held[h]
	if b != nil {
		i := slices.Index(c.order, h)
		c.order = append(slices.Delete(c.order, i, i+1), h)
	}
	return b
}

func (c *blockCache) put(h journal.Hash, b *block) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[h] != nil {
		return
	}
	if len(c.order) == cachedBlocks {
		delete(c.held, c.order[0])
		c.order = slices.Delete(c.order, 0, 1)
	}
	c.order = append(c.order, h)
	c.held[h] = b
}

const (
	blockAtOrBefore = `SELECT b.first, b.content, l.defaults FROM directory_load l
		JOIN directory_block b ON b.load = l.load
		WHERE l.suffix = $1 AND b.first <= $2 ORDER BY b.first DESC LIMIT 1`
	blockAfter = `SELECT b.first, b.content, l.defaults FROM directory_load l
		JOIN directory_block b ON b.load = l.load
		WHERE l.suffix = $1 AND b.first > $2 ORDER BY b.first LIMIT 1`
)

// block runs one of the queries above; nil if there is no such block.
func (r *Register) block(tx *ledger.Tx, query string, s *suffix, key []byte) (*block, error) {
	var first, content, defaults []byte
	err := tx.QueryRow(query, []byte(s.key), key).Scan(&first, &content, &defaults)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	h := journal.Hash(content)
	if b := r.blocks.get(h); b != nil {
		return b, nil
	}
	data, err := tx.Content(h)
	if err != nil {
		return nil, err
	}
	d, err := directory.ParseEntryAdded(defaults)
	if err != nil {
		return nil, fmt.Errorf("defaults of load: %w", err)
	}
	b := &block{first: first}
	if b.index, err = directory.IndexBlock(data, d.Entry.Attributes); err != nil {
		return nil, err
	}
	if b.keys, err = r.keysOf(b.index); err != nil {
		return nil, err
	}
	r.blocks.put(h, b)
	return b, nil
}

// keysOf makes the keys of a block's names. What a name shares with the one
// before it is not made again.
func (r *Register) keysOf(x *directory.BlockIndex) ([]directory.Key, error) {
	var all []byte // every key behind the one before
	ends := make([]int, 0, x.Len())
	var last [][]byte // the name before
	var parts []int   // where its RDNs end in its key
	start := 0        // of its key in all
	for i := range x.Len() {
		name := x.RDNs(i)
		shared := 0
		for shared < min(len(last), len(name)) && bytes.Equal(last[shared], name[shared]) {
			shared++
		}
		at := len(all)
		if shared > 0 {
			all = append(all, all[start:start+parts[shared-1]]...)
		}
		parts = parts[:shared]
		for _, raw := range name[shared:] {
			rdn, err := directory.ParseRawRDN(raw)
			if err == nil {
				all, err = r.schema.AppendKey(all, directory.DN{rdn})
			}
			if err != nil {
				return nil, err
			}
			parts = append(parts, len(all)-at)
		}
		last, start = name, at
		ends = append(ends, len(all))
	}
	text := string(all)
	keys := make([]directory.Key, len(ends))
	at := 0
	for i, end := range ends {
		keys[i] = directory.Key(text[at:end])
		at = end
	}
	return keys, nil
}

func (b *block) stored(i int) (*stored, error) {
	x, err := b.index.Entry(i)
	if err != nil {
		return nil, err
	}
	return &stored{key: b.keys[i], uuid: x.UUID, entry: x.Entry}, nil
}

func (r *Register) findLoaded(tx *ledger.Tx, p place) (*stored, error) {
	b, err := r.block(tx, blockAtOrBefore, p.suffix, []byte(p.key))
	if b == nil || err != nil {
		return nil, err
	}
	return b.find(p.key)
}

// find is the entry of a key, nil if the block has none.
func (b *block) find(k directory.Key) (*stored, error) {
	i, found := b.place(k)
	if !found {
		return nil, nil
	}
	return b.stored(i)
}

func (b *block) place(k directory.Key) (int, bool) { return slices.BinarySearch(b.keys, k) }

// covers reports that no other block of the suffix can hold the key.
func (b *block) covers(k directory.Key) bool {
	return b != nil && len(b.keys) > 0 && b.keys[0] <= k && k <= b.keys[len(b.keys)-1]
}
