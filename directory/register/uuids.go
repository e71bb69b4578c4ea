package register

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"cardinal/directory"
	"cardinal/internal/ledger"
)

// Every copy finds entries by their UUID, so no two may have the same. Those
// made here are random; those brought along are looked for.

// unusedUUID refuses a UUID brought by an addition. What was loaded cannot be
// looked through while a transaction waits, so beside a load none is taken.
func (r *Register) unusedUUID(tx *ledger.Tx, u directory.UUID) error {
	var loads, known int
	err := errors.Join(tx.QueryRow(`SELECT COUNT(*) FROM directory_load WHERE entries > 0`).Scan(&loads),
		tx.QueryRow(`SELECT COUNT(*) FROM directory_entry WHERE uuid = $1 AND data IS NOT NULL`, u[:]).Scan(&known))
	switch {
	case err != nil:
		return fmt.Errorf("looking for entryUUID %s: %w", u, err)
	case known > 0:
		return refuse(directory.ConstraintViolation, "entryUUID: %s is another entry's", u)
	case loads > 0:
		return refuse(directory.UnwillingToPerform, "entryUUID: beside loaded entries only a load may bring one")
	}
	return nil
}

// distinctUUIDs refuses a load that brings a UUID twice, or one that stands in
// another suffix.
func (x *load) distinctUUIDs(ctx context.Context) error {
	slices.SortFunc(x.uuids, compareUUIDs)
	for i := 1; i < len(x.uuids); i++ {
		if x.uuids[i] == x.uuids[i-1] {
			return refuse(directory.ConstraintViolation, "two entries have the entryUUID %s", x.uuids[i])
		}
	}
	if len(x.uuids) == 0 {
		return nil
	}
	err := x.job.Ledger.Read(ctx, func(tx *ledger.Tx) error {
		if err := x.againstRows(tx); err != nil {
			return err
		}
		for i := range x.r.suffixes {
			if err := x.againstLoad(tx, &x.r.suffixes[i]); err != nil {
				return err
			}
		}
		return nil
	})
	x.uuids = nil
	return err
}

func compareUUIDs(a, b directory.UUID) int { return bytes.Compare(a[:], b[:]) }

func (x *load) unlike(u directory.UUID) error {
	if _, found := slices.BinarySearchFunc(x.uuids, u, compareUUIDs); found {
		return refuse(directory.ConstraintViolation, "entryUUID %s is that of an entry of another suffix", u)
	}
	return nil
}

func (x *load) againstRows(tx *ledger.Tx) error {
	rows, err := tx.Query(`SELECT uuid FROM directory_entry WHERE data IS NOT NULL`)
	if err != nil {
		return fmt.Errorf("reading entryUUIDs: %w", err)
	}
	var clash error
	for clash == nil && rows.Next() {
		var b []byte
		if clash = rows.Scan(&b); clash == nil && len(b) == len(directory.UUID{}) {
			clash = x.unlike(directory.UUID(b))
		}
	}
	return errors.Join(clash, rows.Err(), rows.Close())
}

func (x *load) againstLoad(tx *ledger.Tx, s *suffix) error {
	if s.key == x.suffix.key {
		return nil // it is empty: what was loaded there has been deleted
	}
	loaded, err := x.r.Loaded(tx, s.dn)
	if err != nil || loaded == nil {
		return err
	}
	for {
		entries, err := loaded.NextBlock()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the entryUUIDs of %s: %w", s.dn, err)
		}
		for i := range entries {
			if err := x.unlike(entries[i].UUID); err != nil {
				return err
			}
		}
	}
}
