package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Discard throws away the tables that Create made, for a caller whose further steps came to nothing. Nobody may have the
// ledger open. What else is in the database stays, as does SQLite's file. Nothing is left to discard where there is none.
func Discard(ctx context.Context, o Options) error {
	e, err := o.prepare()
	if err != nil {
		return err
	}
	b := &builder{e: e, options: o}
	if err := b.open(ctx, false); err != nil {
		return fmt.Errorf("discarding ledger: %w", err)
	}
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return errors.Join(fmt.Errorf("discarding ledger: %w", err), b.db.Close())
	}
	for _, table := range slices.Backward(b.tables()) { // those that refer to others first
		if _, err := tx.ExecContext(ctx, "DROP TABLE IF EXISTS "+table); err != nil {
			return errors.Join(fmt.Errorf("discarding ledger: table %s: %w", table, err), tx.Rollback(), b.db.Close())
		}
	}
	if err := errors.Join(tx.Commit(), b.db.Close()); err != nil {
		return fmt.Errorf("discarding ledger: %w", err)
	}
	return nil
}

// tables names what the migrations of all rooms make, in that order.
func (b *builder) tables() []string {
	scripts := []string{createVersions}
	for _, room := range b.options.rooms() {
		scripts = append(scripts, room.Migrations...)
	}
	var names []string
	for _, script := range scripts {
		for _, statement := range b.e.translate(script) {
			if rest, ok := strings.CutPrefix(statement, "CREATE TABLE "); ok {
				name, _, _ := strings.Cut(strings.TrimPrefix(rest, "IF NOT EXISTS "), " ")
				names = append(names, name)
			}
		}
	}
	return names
}
