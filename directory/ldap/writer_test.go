package ldap_test

import (
	"context"
	"errors"

	"cardinal/directory"
	"cardinal/directory/ldap"
	"cardinal/directory/register"
	"cardinal/internal/journal"
)

// ldapWriter is how the program hands updates to the register.
type ldapWriter struct{ updates register.Updates }

func author(who ldap.Identity) register.Author {
	return register.Author{DN: who.DN.String(), State: who.State}
}

func (w ldapWriter) Add(ctx context.Context, who ldap.Identity, e *directory.Entry) (journal.Position, error) {
	return w.updates.Add(ctx, author(who), e)
}

func (w ldapWriter) Modify(ctx context.Context, who ldap.Identity, dn directory.DN, mods []directory.Modification) (journal.Position, error) {
	return w.updates.Modify(ctx, author(who), dn, mods)
}

func (w ldapWriter) Delete(ctx context.Context, who ldap.Identity, dn directory.DN) (journal.Position, error) {
	return w.updates.Delete(ctx, author(who), dn)
}

func (w ldapWriter) ModifyDN(ctx context.Context, who ldap.Identity, m directory.Move) (journal.Position, error) {
	return w.updates.Move(ctx, author(who), m)
}

func (w ldapWriter) Apply(ctx context.Context, updates []ldap.Update) (journal.Position, error) {
	list := make([]register.Update, len(updates))
	for i := range updates {
		list[i] = register.Update{By: author(updates[i].Who), Update: updates[i].Update}
	}
	position, err := w.updates.Apply(ctx, list)
	var nth *register.UpdateError
	if errors.As(err, &nth) {
		return 0, &ldap.UpdateError{Nth: nth.Nth, Err: nth.Err}
	}
	return position, err
}
