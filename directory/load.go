package directory

import (
	"errors"
	"fmt"
	"io"

	"cardinal/internal/journal"
)

// LoadManifest is the content a SuffixLoaded change names: which blocks hold
// the entries, in the order of their keys. Each block is a content of its own,
// so that a load can be stored, fetched and resumed block by block.
type LoadManifest struct {
	Suffix  DN
	Entries uint64
	// Defaults are attributes every entry has unless it has others of the
	// same description: the operational ones, equal for a whole load.
	Defaults []Attribute
	Blocks   []LoadBlock
}

// LoadBlock names one block.
type LoadBlock struct {
	Content journal.Hash
	Size    int64
	Entries uint64
}

const manifestMagic = "cardinal load 1\n"

// Append appends the manifest's encoding.
func (m *LoadManifest) Append(b []byte) []byte {
	w := writer{journal.NewEncoder(append(b, manifestMagic...))}
	w.dn(m.Suffix)
	w.AppendUint(m.Entries)
	w.AppendUint(uint64(len(m.Defaults)))
	for i := range m.Defaults {
		w.attribute(&m.Defaults[i], i, nil)
	}
	w.AppendUint(uint64(len(m.Blocks)))
	for i := range m.Blocks {
		w.AppendHash(m.Blocks[i].Content)
		w.AppendUint(uint64(m.Blocks[i].Size))
		w.AppendUint(m.Blocks[i].Entries)
	}
	return w.Bytes()
}

// ParseLoadManifest reads an encoded manifest.
func ParseLoadManifest(b []byte) (*LoadManifest, error) {
	r := reader{journal.NewDecoder(b)}
	if string(r.Fixed(len(manifestMagic))) != manifestMagic {
		r.Fail("not the manifest of a load")
	}
	m := &LoadManifest{Suffix: r.dn(), Entries: r.Uint()}
	for range r.Count(2) {
		m.Defaults = append(m.Defaults, r.attribute())
	}
	sum := uint64(0)
	for range r.Count(34) {
		l := LoadBlock{Content: r.Hash(), Size: int64(r.UintMax(maxBlockStored)), Entries: r.UintMax(1 << 32)}
		sum += l.Entries
		m.Blocks = append(m.Blocks, l)
	}
	if sum != m.Entries {
		r.Fail("the number of entries is not that of the blocks")
	}
	return m, r.done("load manifest")
}

// LoadReader reads the entries of a load, a block at a time.
type LoadReader struct {
	open     Opener
	manifest *LoadManifest
	next     int
}

// OpenLoad fetches and reads the manifest of a load. The opener must give
// contents whose SHA-256 is the hash asked for, as a journal.Feed does.
func OpenLoad(open Opener, manifest journal.Hash) (*LoadReader, error) {
	b, err := fetchContent(open, manifest, maxManifest)
	if err != nil {
		return nil, err
	}
	m, err := ParseLoadManifest(b)
	if err != nil {
		return nil, err
	}
	return &LoadReader{open: open, manifest: m}, nil
}

const (
	maxManifest    = 64 << 20 // 1.5 million blocks
	maxBlockStored = 80 << 20
)

// Manifest returns the manifest. Read only.
func (r *LoadReader) Manifest() *LoadManifest { return r.manifest }

// Block returns the number of the block NextBlock will read.
func (r *LoadReader) Block() int { return r.next }

// Seek makes the next block the n-th, counting from 0.
func (r *LoadReader) Seek(n int) { r.next = n }

// NextBlock returns the entries of the next block in the order of their keys;
// io.EOF after the last. Names and values share one buffer of their own.
func (r *LoadReader) NextBlock() ([]LoadEntry, error) {
	if r.next >= len(r.manifest.Blocks) {
		return nil, io.EOF
	}
	b, err := r.Fetch(r.next)
	if err != nil {
		return nil, err
	}
	entries, err := ParseLoadBlock(b, r.manifest.Defaults)
	if err != nil {
		return nil, fmt.Errorf("block %d: %w", r.next, err)
	}
	if n := r.manifest.Blocks[r.next].Entries; uint64(len(entries)) != n {
		return nil, fmt.Errorf("block %d holds %d entries, not %d", r.next, len(entries), n)
	}
	r.next++
	return entries, nil
}

// Fetch returns a block as it is stored. Any number of goroutines may fetch.
func (r *LoadReader) Fetch(n int) ([]byte, error) {
	l := &r.manifest.Blocks[n]
	return fetchContent(r.open, l.Content, l.Size)
}

func fetchContent(open Opener, h journal.Hash, limit int64) ([]byte, error) {
	rc, err := open(h)
	if err != nil {
		return nil, fmt.Errorf("opening content %s: %w", h, err)
	}
	b, err := io.ReadAll(io.LimitReader(rc, limit+1))
	if err = errors.Join(err, rc.Close()); err != nil {
		return nil, fmt.Errorf("reading content %s: %w", h, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("reading content %s: longer than %d bytes", h, limit)
	}
	return b, nil
}
