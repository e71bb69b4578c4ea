package register

import (
	"context"
	"fmt"

	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// Updates does writes, each call in a transaction of its own, hashing
// passwords before it begins. Positions are those to wait for.
type Updates struct {
	Register *Register
	Ledger   *ledger.Ledger
}

// Update is one of several updates that are made together.
type Update struct {
	By Author
	directory.Update
}

// UpdateError says which of several updates was refused. None was made.
type UpdateError struct {
	Nth int // from 0
	Err error
}

// Error returns which and why.
func (e *UpdateError) Error() string { return fmt.Sprintf("update %d: %v", e.Nth+1, e.Err) }

// Unwrap returns the reason, mostly a *directory.Error.
func (e *UpdateError) Unwrap() error { return e.Err }

// Apply makes all updates, in order, each seeing those before it, or none. The
// error is an *UpdateError around what Register's methods refuse with. All of
// it happens while the ledger's head is held: give as many as 50 ms are enough
// for, some 200.
func (u Updates) Apply(ctx context.Context, list []Update) (journal.Position, error) {
	hashed := make([]directory.Update, len(list))
	for i := range list {
		hashed[i] = list[i].Update
		if hashed[i].Entry != nil {
			hashed[i].Entry = u.Register.SealEntry(hashed[i].Entry)
		}
		hashed[i].Mods = u.Register.SealMods(hashed[i].Mods)
	}
	return u.Ledger.Write(ctx, func(tx *ledger.Tx) error {
		for i := range hashed {
			if err := u.Register.Update(tx, list[i].By, &hashed[i]); err != nil {
				return &UpdateError{Nth: i, Err: err}
			}
		}
		return nil
	})
}

// Update makes one update: Add, Delete, DeleteTree, Modify or Move, with what
// else it asks for.
func (r *Register) Update(tx *ledger.Tx, by Author, u *directory.Update) error {
	in := inside{r: r, tx: tx}
	if u.Before != nil {
		if err := u.Before(in); err != nil {
			return err
		}
	}
	var err error
	switch {
	case u.Kind == directory.UpdateAdd:
		err = r.add(tx, by, u.Entry, u.Relax)
	case u.Kind == directory.UpdateDelete && u.Subtree:
		err = r.DeleteTree(tx, by, u.DN)
	case u.Kind == directory.UpdateDelete:
		err = r.Delete(tx, by, u.DN)
	case u.Kind == directory.UpdateModify:
		err = r.modify(tx, by, u)
	default:
		err = r.Move(tx, by, u.Move)
	}
	if err == nil && u.After != nil {
		err = u.After(in)
	}
	return err
}

// inside is a directory.Lookup.
type inside struct {
	r  *Register
	tx *ledger.Tx
}

func (x inside) Entry(dn directory.DN) (*directory.Entry, error) {
	p, err := x.r.locate(dn)
	if err != nil {
		return nil, err
	}
	s, err := x.r.find(x.tx, p)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, x.r.noSuchObject(x.tx, p)
	}
	return x.shown(p, s)
}

// shown is an entry with what follows from where it is.
func (x inside) shown(p place, s *stored) (*directory.Entry, error) {
	e, err := x.r.public(x.tx, s)
	if err != nil {
		return nil, err
	}
	below, err := x.r.hasChildren(x.tx, p)
	if err != nil {
		return nil, err
	}
	e.PutString("entryDN", e.DN.String())
	e.PutString("hasSubordinates", map[bool]string{true: "TRUE", false: "FALSE"}[below])
	return e, nil
}

func (x inside) Below(dn directory.DN, most int, visit func(*directory.Entry) error) (more bool, err error) {
	p, err := x.r.locate(dn)
	if err != nil {
		return false, err
	}
	c, err := x.r.cursor(x.tx, p.suffix, p.key+"\x00", p.key.After())
	if err != nil {
		return false, err
	}
	for n := 0; ; n++ {
		s, err := c.next()
		if s == nil || err != nil {
			return false, err
		}
		if n == most {
			return true, nil
		}
		e, err := x.r.public(x.tx, s)
		if err != nil {
			return false, err
		}
		if err := visit(e); err != nil {
			return false, err
		}
	}
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
