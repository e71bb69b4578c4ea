package register

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"cardinal/directory"
	"cardinal/internal/ledger"
)

// ErrNotFilled: an attribute that referential integrity or uniqueness needs is
// not tracked for all entries yet; Fill does that.
var ErrNotFilled = &directory.Error{Code: directory.UnwillingToPerform,
	Message: "the index for referential integrity and uniqueness is being completed: try again later"}

// mustBeFilled refuses to look for references while some may be unknown.
func (r *Register) mustBeFilled(tx *ledger.Tx) error {
	missing, err := r.unfilled(tx)
	if err == nil && len(missing) > 0 {
		return ErrNotFilled
	}
	return err
}

// Filled returns ErrNotFilled unless every attribute that is to be tracked is
// tracked for all entries.
func (r *Register) Filled(tx *ledger.Tx) error {
	if len(r.tracked) == 0 {
		return nil
	}
	return r.mustBeFilled(tx)
}

// unfilled names the attributes to be tracked that are not, in order.
func (r *Register) unfilled(tx *ledger.Tx) ([]string, error) {
	known, err := trackedNames(tx)
	if err != nil {
		return nil, err
	}
	missing := maps.Clone(r.tracked)
	for _, name := range known {
		delete(missing, name)
	}
	return slices.Sorted(maps.Keys(missing)), nil
}

// trackedNames are the attributes tracked for all entries.
func trackedNames(tx *ledger.Tx) (names []string, err error) {
	rows, err := tx.Query(`SELECT attribute FROM directory_tracked WHERE filled = 1`)
	if err != nil {
		return nil, fmt.Errorf("reading what is tracked: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("reading what is tracked: %w", err)
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// forget drops what is not tracked any more: nobody keeps it up.
func (r *Register) forget(tx *ledger.Tx) error {
	known, err := trackedNames(tx)
	if err != nil {
		return err
	}
	for _, name := range known {
		if !r.tracked[name] {
			tx.Defer(`DELETE FROM directory_reference WHERE attribute = $1`, name)
			tx.Defer(`DELETE FROM directory_tracked WHERE attribute = $1`, name)
		}
	}
	return nil
}

// fillAtOnce is how many entries one transaction of Fill looks at: loaded ones
// that hold nothing tracked cost next to nothing.
const fillAtOnce = 400

// Fill tracks the attributes that are to be tracked and are not, for all
// entries there are, in transactions that hold the head for some milliseconds
// each; what no configuration tracks any more it forgets. It returns the
// attributes it has filled. Updates may go on meanwhile, but those that need
// what is missing are refused.
func (r *Register) Fill(ctx context.Context, l *ledger.Ledger) (filled []string, err error) {
	_, err = l.Write(ctx, func(tx *ledger.Tx) error {
		if err = r.forget(tx); err != nil {
			return err
		}
		if filled, err = r.unfilled(tx); err != nil {
			return err
		}
		for _, name := range filled { // rows of an earlier time, or of a load that was given up
			tx.Defer(`DELETE FROM directory_reference WHERE attribute = $1`, name)
		}
		return nil
	})
	if err != nil || len(filled) == 0 {
		return nil, err
	}
	for i := range r.suffixes {
		if err := r.fillSuffix(ctx, l, &r.suffixes[i]); err != nil {
			return nil, err
		}
	}
	_, err = l.Write(ctx, func(tx *ledger.Tx) error {
		for _, name := range filled {
			tx.Defer(`INSERT INTO directory_tracked (attribute, filled) VALUES ($1, 1)
				ON CONFLICT (attribute) DO UPDATE SET filled = 1`, name)
		}
		return nil
	})
	return filled, err
}

func (r *Register) fillSuffix(ctx context.Context, l *ledger.Ledger, s *suffix) error {
	from, end := s.key, s.key.After()
	for from < end {
		var next directory.Key
		_, err := l.Write(ctx, func(tx *ledger.Tx) (err error) {
			next, err = r.fillFrom(tx, s, from)
			return err
		})
		if err != nil {
			return fmt.Errorf("tracking attributes below %q: %w", s.dn, err)
		}
		if next == "" {
			return nil
		}
		from = next
	}
	return nil
}

// fillFrom tracks the next entries; next is where to go on, "" at the end.
func (r *Register) fillFrom(tx *ledger.Tx, s *suffix, from directory.Key) (next directory.Key, err error) {
	c, err := r.cursor(tx, s, from, s.key.After())
	if err != nil {
		return "", err
	}
	for range fillAtOnce {
		e, err := c.next()
		if e == nil || err != nil {
			return "", err
		}
		r.track(tx, e, nil, e.entry)
		r.trackOutlined(tx, e)
		next = e.key + "\x00"
	}
	return next, nil
}

// trackOutlined tracks values that are not in the entry's row.
func (r *Register) trackOutlined(tx *ledger.Tx, s *stored) {
	for name := range s.outlines {
		t := r.schema.Attribute(name)
		if !r.isTracked(t) {
			continue
		}
		tx.Defer(`INSERT INTO directory_reference (attribute, form, uuid)
			SELECT $1, form, uuid FROM directory_value WHERE uuid = $2 AND attribute = $3 ON CONFLICT DO NOTHING`, t.Name(), s.uuid[:], name)
		tx.Defer(`INSERT INTO directory_place (uuid, key) VALUES ($1, $2) ON CONFLICT (uuid) DO UPDATE SET key = excluded.key`, s.uuid[:], []byte(s.key))
	}
}
