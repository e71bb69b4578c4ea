package register

import (
	"fmt"
	"slices"

	"cardinal/directory"
	"cardinal/internal/ledger"
)

// cursor visits the entries of a range of one suffix in the order of their
// keys, merging rows over blocks. It holds no open rows between calls, so the
// transaction may be used meanwhile.
type cursor struct {
	r      *Register
	tx     *ledger.Tx
	suffix *suffix
	end    directory.Key // exclusive

	rows     []row
	nextRow  directory.Key // where the next page begins
	rowsDone bool

	block *block
	i     int // next entry of block
}

type row struct {
	key  directory.Key
	data []byte // nil: hides a loaded entry
}

const pageRows = 256

func (r *Register) cursor(tx *ledger.Tx, s *suffix, from, end directory.Key) (*cursor, error) {
	c := &cursor{r: r, tx: tx, suffix: s, end: end}
	return c, c.seek(from)
}

// seek makes the next entry the first whose key is not below from.
func (c *cursor) seek(from directory.Key) error {
	for len(c.rows) > 0 && c.rows[0].key < from {
		c.rows = c.rows[1:]
	}
	if len(c.rows) == 0 {
		c.nextRow = max(c.nextRow, from)
	}
	if c.block != nil && c.i < len(c.block.keys) && from <= c.block.keys[len(c.block.keys)-1] && from >= c.block.keys[0] {
		c.i, _ = slices.BinarySearch(c.block.keys, from)
		return nil
	}
	b, err := c.r.block(c.tx, blockAtOrBefore, c.suffix, []byte(from))
	if err == nil && b == nil {
		b, err = c.r.block(c.tx, blockAfter, c.suffix, []byte(from))
	}
	if c.block = b; b != nil && err == nil {
		c.i, _ = slices.BinarySearch(b.keys, from)
	}
	return err
}

// next returns the next entry, nil at the end. Its values may be shared with a
// cache: read only.
func (c *cursor) next() (*stored, error) {
	for {
		if err := c.fill(); err != nil {
			return nil, err
		}
		hasBlock := c.block != nil && c.block.keys[c.i] < c.end
		switch {
		case len(c.rows) == 0 && !hasBlock:
			return nil, nil
		case len(c.rows) == 0 || hasBlock && c.block.keys[c.i] < c.rows[0].key:
			c.i++
			return c.block.stored(c.i - 1)
		}
		top := c.rows[0]
		c.rows = c.rows[1:]
		if hasBlock && c.block.keys[c.i] == top.key {
			c.i++
		}
		if len(top.data) == 0 {
			continue
		}
		s, err := decodeRow(c.tx, top.key, top.data)
		if err != nil {
			return nil, fmt.Errorf("reading entry %q: %w", top.key, err)
		}
		return s, nil
	}
}

// fill makes the next row and the next loaded entry available.
func (c *cursor) fill() error {
	if len(c.rows) == 0 && !c.rowsDone {
		if err := c.page(); err != nil {
			return err
		}
	}
	for c.block != nil && c.i >= len(c.block.keys) {
		b, err := c.r.block(c.tx, blockAfter, c.suffix, c.block.first)
		if err != nil {
			return err
		}
		c.block, c.i = b, 0
	}
	return nil
}

func (c *cursor) page() error {
	rows, err := c.tx.Query(`SELECT key, data FROM directory_entry WHERE key >= $1 AND key < $2 ORDER BY key LIMIT $3`,
		[]byte(c.nextRow), []byte(c.end), pageRows)
	if err != nil {
		return fmt.Errorf("reading entries: %w", err)
	}
	defer rows.Close()
	c.rows = c.rows[:0]
	for rows.Next() {
		var key, data []byte
		if err := rows.Scan(&key, &data); err != nil {
			return fmt.Errorf("reading entries: %w", err)
		}
		c.rows = append(c.rows, row{directory.Key(key), data})
	}
	if n := len(c.rows); n == pageRows {
		c.nextRow = c.rows[n-1].key + "\x00"
	} else {
		c.rowsDone = true
	}
	return rows.Err()
}

// hasChildren reports whether anything stands below a place.
func (r *Register) hasChildren(tx *ledger.Tx, p place) (bool, error) {
	c, err := r.cursor(tx, p.suffix, p.key+"\x00", p.key.After())
	if err != nil {
		return false, err
	}
	s, err := c.next()
	return s != nil, err
}
