package register

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"

	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// stored is an entry as the register keeps it.
type stored struct {
	key      directory.Key
	row      directory.Key // of the row it was read from; "" when it was loaded or is new
	uuid     directory.UUID
	entry    *directory.Entry
	large    []directory.Large   // values that are kept as content
	outlines map[string]*outline // by description
}

// find returns the entry of a place, nil if there is none.
func (r *Register) find(tx *ledger.Tx, p place) (*stored, error) {
	var data []byte
	err := tx.QueryRow(`SELECT data FROM directory_entry WHERE key = $1`, []byte(p.key)).Scan(&data)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("reading entry %q: %w", p.dn, err)
	}
	var s *stored
	switch hasRow := err == nil; {
	case hasRow && len(data) == 0:
		return nil, nil
	case hasRow:
		s, err = decodeRow(tx, p.key, data)
	default:
		s, err = r.findLoaded(tx, p)
	}
	if err != nil {
		return nil, fmt.Errorf("reading entry %q: %w", p.dn, err)
	}
	return s, nil
}

// decodeRow reads a row and fetches its large values.
func decodeRow(tx *ledger.Tx, key directory.Key, data []byte) (*stored, error) {
	x, err := directory.ParseEntryAdded(data)
	if err != nil {
		return nil, err
	}
	err = x.Resolve(func(h journal.Hash) (io.ReadCloser, error) {
		v, err := tx.Content(h)
		return io.NopCloser(bytes.NewReader(v)), err
	})
	s := &stored{key: key, row: key, uuid: x.UUID, entry: x.Entry, large: x.Large}
	s.noteOutlines()
	return s, err
}

// put writes an entry's row and stores its large values.
func (r *Register) put(tx *ledger.Tx, s *stored) error {
	row := &stored{uuid: s.uuid, large: s.large, entry: &directory.Entry{DN: s.entry.DN}}
	var err error
	if row.entry.Attributes, err = r.settle(tx, s); err != nil {
		return err
	}
	x, err := r.added(tx, row)
	if err != nil {
		return err
	}
	s.large = slices.Concat(s.large, x.Large) // known to be stored
	if s.row == s.key {                       // its UUID, and with it an index, stays
		tx.Defer(`UPDATE directory_entry SET data = $1 WHERE key = $2`, x.Append(nil), []byte(s.key))
		return nil
	}
	tx.Defer(`INSERT INTO directory_entry (key, uuid, data) VALUES ($1, $2, $3)
		ON CONFLICT (key) DO UPDATE SET uuid = excluded.uuid, data = excluded.data`,
		[]byte(s.key), s.uuid[:], x.Append(nil))
	return nil
}

// drop removes an entry's row, or where a block holds an entry of its key
// leaves one that hides it.
func (r *Register) drop(tx *ledger.Tx, s *stored) error {
	loaded, err := r.findLoaded(tx, place{key: s.key, suffix: r.suffixOf(s.key)})
	if err != nil {
		return fmt.Errorf("reading entry %q: %w", s.entry.DN, err)
	}
	if loaded != nil {
		tx.Defer(`INSERT INTO directory_entry (key, uuid, data) VALUES ($1, $2, NULL)
			ON CONFLICT (key) DO UPDATE SET uuid = excluded.uuid, data = NULL`, []byte(s.key), s.uuid[:])
		return nil
	}
	tx.Defer(`DELETE FROM directory_entry WHERE key = $1`, []byte(s.key))
	return nil
}

// added makes the encodable form, storing values that are not content yet.
func (r *Register) added(tx *ledger.Tx, s *stored) (*directory.EntryAdded, error) {
	x := &directory.EntryAdded{UUID: s.uuid, Entry: s.entry}
	known := map[journal.Hash]bool{}
	for _, l := range s.large {
		known[l.Content] = true
	}
	for i := range s.entry.Attributes {
		l, err := storeLarge(tx, &s.entry.Attributes[i], i, known)
		if err != nil {
			return nil, err
		}
		x.Large = append(x.Large, l...)
	}
	s.large = x.Large
	return x, nil
}

func storeLarge(tx *ledger.Tx, a *directory.Attribute, i int, known map[journal.Hash]bool) ([]directory.Large, error) {
	var out []directory.Large
	for j, v := range a.Values {
		if len(v) <= directory.LargeValue {
			continue
		}
		h := journal.Hash(sumOf(v))
		if !known[h] {
			var err error
			if h, err = tx.PutContent(v); err != nil {
				return nil, fmt.Errorf("storing a value of %s: %w", a.Type, err)
			}
		}
		out = append(out, directory.Large{Attribute: i, Value: j, Content: h, Size: int64(len(v))})
	}
	return out, nil
}

// noSuchObject names the deepest ancestor there is (RFC 4511 §4.1.9).
func (r *Register) noSuchObject(tx *ledger.Tx, p place) error {
	e := refuse(directory.NoSuchObject, "no entry %q", p.dn)
	for dn, key := p.dn.Parent(), p.key.Parent(); p.suffix.key.Contains(key) && key != ""; dn, key = dn.Parent(), key.Parent() {
		s, err := r.find(tx, place{dn: dn, key: key, suffix: p.suffix})
		if err != nil {
			return err
		}
		if s != nil {
			e.Matched = s.entry.DN
			break
		}
	}
	return e
}
