package register

import (
	"context"

	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// Updates does single writes, each in a transaction of its own, hashing
// passwords before it begins. Positions are those to wait for.
type Updates struct {
	Register *Register
	Ledger   *ledger.Ledger
}

// Add is Register.Add.
func (u Updates) Add(ctx context.Context, by Author, e *directory.Entry) (journal.Position, error) {
	e = u.Register.SealEntry(e)
	return u.Ledger.Write(ctx, func(tx *ledger.Tx) error { return u.Register.Add(tx, by, e) })
}

// Modify is Register.Modify.
func (u Updates) Modify(ctx context.Context, by Author, dn directory.DN, mods []directory.Modification) (journal.Position, error) {
	mods = u.Register.SealMods(mods)
	return u.Ledger.Write(ctx, func(tx *ledger.Tx) error { return u.Register.Modify(tx, by, dn, mods) })
}

// Delete is Register.Delete.
func (u Updates) Delete(ctx context.Context, by Author, dn directory.DN) (journal.Position, error) {
	return u.Ledger.Write(ctx, func(tx *ledger.Tx) error { return u.Register.Delete(tx, by, dn) })
}

// Move is Register.Move.
func (u Updates) Move(ctx context.Context, by Author, m directory.Move) (journal.Position, error) {
	return u.Ledger.Write(ctx, func(tx *ledger.Tx) error { return u.Register.Move(tx, by, m) })
}
