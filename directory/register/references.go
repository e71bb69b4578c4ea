package register

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"cardinal/directory"
	"cardinal/internal/ledger"
)

// Which entries hold a value of certain attributes stands in
// directory_reference, by a digest of the value's normal form, and where these
// entries are in directory_place. It is kept for the attributes that
// referential integrity and uniqueness ask for, from fill on. A row proposes,
// the entry decides: one that was left behind does no harm.
const references = `
CREATE TABLE directory_reference (
	attribute TEXT NOT NULL,
	form BYTEA NOT NULL,
	uuid BYTEA NOT NULL,
	PRIMARY KEY (attribute, form, uuid)
);
CREATE TABLE directory_place (
	uuid BYTEA PRIMARY KEY,
	key BYTEA NOT NULL
);
CREATE TABLE directory_tracked (
	attribute TEXT PRIMARY KEY,
	filled BIGINT NOT NULL
);
CREATE INDEX directory_entry_uuid ON directory_entry (uuid);
`

// tracked is an attribute whose values are kept in directory_reference.
func (r *Register) isTracked(t *directory.AttributeType) bool { return t != nil && r.tracked[t.Name()] }

// forms are the values of an attribute, under whatever options, by the digest
// of their normal form.
func (r *Register) forms(e *directory.Entry, t *directory.AttributeType) map[string][]byte {
	out := map[string][]byte{}
	if e == nil {
		return out
	}
	for i := range e.Attributes {
		if r.schema.Attribute(e.Attributes[i].Type) != t {
			continue
		}
		for _, v := range e.Attributes[i].Values {
			out[string(formOf(t, v))] = v
		}
	}
	return out
}

// track brings directory_reference in line with an entry that is about to be
// written; before is nil for a new one. Values that are outlined and not shown
// stay what they were on both sides.
func (r *Register) track(tx *ledger.Tx, s *stored, before, after *directory.Entry) {
	placed := false
	for name := range r.tracked {
		t := r.schema.Attribute(name)
		had, has := r.forms(before, t), r.forms(after, t)
		for form := range had {
			if _, still := has[form]; !still {
				tx.Defer(`DELETE FROM directory_reference WHERE attribute = $1 AND form = $2 AND uuid = $3`, name, []byte(form), s.uuid[:])
			}
		}
		for _, form := range slices.Sorted(maps.Keys(has)) {
			if _, already := had[form]; already {
				continue
			}
			tx.Defer(`INSERT INTO directory_reference (attribute, form, uuid) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, name, []byte(form), s.uuid[:])
			placed = true
		}
	}
	if placed {
		tx.Defer(`INSERT INTO directory_place (uuid, key) VALUES ($1, $2) ON CONFLICT (uuid) DO UPDATE SET key = excluded.key`, s.uuid[:], []byte(s.key))
	}
}

// untrack forgets an entry that goes.
func (r *Register) untrack(tx *ledger.Tx, s *stored) {
	if len(r.tracked) == 0 {
		return
	}
	for name := range r.tracked {
		for form := range r.forms(s.entry, r.schema.Attribute(name)) {
			tx.Defer(`DELETE FROM directory_reference WHERE attribute = $1 AND form = $2 AND uuid = $3`, name, []byte(form), s.uuid[:])
		}
	}
	for name := range s.outlines {
		if t := r.schema.Attribute(name); r.isTracked(t) {
			tx.Defer(`DELETE FROM directory_reference WHERE attribute = $1 AND uuid = $2 AND form IN
				(SELECT form FROM directory_value WHERE uuid = $2 AND attribute = $3)`, t.Name(), s.uuid[:], name)
		}
	}
	tx.Defer(`DELETE FROM directory_place WHERE uuid = $1`, s.uuid[:])
}

// moveTracked notes that an entry stands elsewhere.
func (r *Register) moveTracked(tx *ledger.Tx, s *stored) {
	if len(r.tracked) > 0 {
		tx.Defer(`UPDATE directory_place SET key = $1 WHERE uuid = $2`, []byte(s.key), s.uuid[:])
	}
}

// holders calls visit for the entries that hold a value, as they are now, in
// the order of their UUIDs, until it returns false. Outlined attributes are not
// filled.
func (r *Register) holders(tx *ledger.Tx, t *directory.AttributeType, v []byte, visit func(*stored) (bool, error)) error {
	form, last := formOf(t, v), []byte{}
	for {
		found, err := holderPage(tx, t.Name(), form, last)
		if err != nil || len(found) == 0 {
			return err
		}
		for _, h := range found {
			s, err := r.holder(tx, h, t, form)
			if err != nil {
				return err
			}
			if s == nil {
				continue
			}
			if more, err := visit(s); err != nil || !more {
				return err
			}
		}
		last = found[len(found)-1].uuid
	}
}

// holder is the entry a row proposes, nil if it does not hold the value.
func (r *Register) holder(tx *ledger.Tx, h holder, t *directory.AttributeType, form []byte) (*stored, error) {
	suffix := r.suffixOf(h.key)
	if suffix == nil {
		return nil, nil // of a suffix that is not configured any more
	}
	s, err := r.find(tx, place{key: h.key, suffix: suffix})
	if err != nil || s == nil || !bytes.Equal(s.uuid[:], h.uuid) {
		return nil, err
	}
	if holds, err := r.holdsForm(tx, s, t, form); err != nil || !holds {
		return nil, err
	}
	return s, nil
}

type holder struct {
	uuid []byte
	key  directory.Key
}

func holderPage(tx *ledger.Tx, attribute string, form, after []byte) (out []holder, err error) {
	rows, err := tx.Query(`SELECT r.uuid, p.key FROM directory_reference r JOIN directory_place p ON p.uuid = r.uuid
		WHERE r.attribute = $1 AND r.form = $2 AND r.uuid > $3 ORDER BY r.uuid LIMIT 200`, attribute, form, after)
	if err != nil {
		return nil, fmt.Errorf("looking for references: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var u, k []byte
		if err := rows.Scan(&u, &k); err != nil {
			return nil, fmt.Errorf("looking for references: %w", err)
		}
		out = append(out, holder{u, directory.Key(k)})
	}
	return out, rows.Err()
}

// holdsForm reports whether an entry holds a value of a type with this form.
func (r *Register) holdsForm(tx *ledger.Tx, s *stored, t *directory.AttributeType, form []byte) (bool, error) {
	if _, ok := r.forms(s.entry, t)[string(form)]; ok {
		return true, nil
	}
	for name := range s.outlines {
		if r.schema.Attribute(name) != t {
			continue
		}
		var one int
		err := tx.QueryRow(`SELECT 1 FROM directory_value WHERE uuid = $1 AND attribute = $2 AND form = $3`, s.uuid[:], name, form).Scan(&one)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return false, fmt.Errorf("reading values of an entry: %w", err)
		}
	}
	return false, nil
}
