package tree

import (
	"encoding/binary"
	"fmt"
	"sync"

	"go.etcd.io/bbolt"

	"cardinal/directory"
)

// catalogs keeps the catalog readers share. Every file has its own numbers;
// each carries a random mark made when it was begun, so a catalog is never
// used with the file of before a rebuild.
type catalogs struct {
	mu      sync.Mutex
	mark    string
	writer  *catalogWriter
	current *Names
}

// of returns a catalog that knows every number used in the snapshot.
func (c *catalogs) of(b *bbolt.Bucket, schema *directory.Schema) (*Names, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	mark := string(b.Bucket([]byte(bucketState)).Get([]byte(stateMark)))
	if c.writer == nil || mark != c.mark {
		c.writer, c.mark, c.current = newCatalogWriter(schema), mark, &Names{}
	}
	names, words := b.Bucket([]byte(bucketNames)), b.Bucket([]byte(bucketWords))
	if err := catchUp(names.Cursor(), len(c.writer.now.names), 2, func(v []byte) { c.writer.addName(string(v)) }); err != nil {
		return nil, fmt.Errorf("reading attribute numbers: %w", err)
	}
	if err := catchUp(words.Cursor(), len(c.writer.now.words), 4, func(v []byte) { c.writer.now.words = append(c.writer.now.words, string(v)) }); err != nil {
		return nil, fmt.Errorf("reading words: %w", err)
	}
	if len(c.current.words) != len(c.writer.now.words) || len(c.current.names) != len(c.writer.now.names) {
		now := c.writer.now
		c.current = &now
	}
	return c.current, nil
}

// catchUp reads what stands behind the first n numbers.
func catchUp(c *bbolt.Cursor, n, width int, add func(v []byte)) error {
	last, _ := c.Last()
	if last == nil || number(last) < n {
		return nil
	}
	for k, v := c.Seek(numberKey(n, width)); k != nil; k, v = c.Next() {
		if number(k) != n {
			return errDamaged
		}
		add(v)
		n++
	}
	return nil
}

func numberKey(n, width int) []byte {
	return binary.BigEndian.AppendUint32(nil, uint32(n))[4-width:]
}

func number(k []byte) int {
	n := 0
	for _, c := range k {
		n = n<<8 | int(c)
	}
	return n
}

// indexCode is the number under which the values of a type stand in the
// index: that of its description without options.
func (c *Names) indexCode(t *directory.AttributeType) (uint16, bool) {
	for i := range c.names {
		if d := &c.names[i].description; d.Type == t && len(d.Options) == 0 {
			return uint16(i), true
		}
	}
	return 0, false
}
