package ldap_test

import (
	"context"
	"errors"

	"cardinal/directory/ldap"
	"cardinal/directory/register"
	"cardinal/internal/journal"
)

// ldapWriter is how the program hands updates to the register.
type ldapWriter struct{ updates register.Updates }

func author(who ldap.Identity) register.Author {
	return register.Author{DN: who.DN.String(), State: who.State}
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
