package ca

import (
	"context"
	"time"

	"cardinal/certs"
)

// PublishAgain is PublishList as the publisher does it.
func (a *Authority) PublishAgain(ctx context.Context, issuer string, which certs.ListName) (certs.ListPublished, error) {
	return a.publish(ctx, wanted{at: a.known.Load().byName[issuer], which: which, again: true})
}

// PublishHurried is PublishAgain while other lists wait that lack a card.
func (a *Authority) PublishHurried(ctx context.Context, issuer string, which certs.ListName) (certs.ListPublished, error) {
	return a.publish(ctx, wanted{at: a.known.Load().byName[issuer], which: which, again: true, hurry: true})
}

// RowsRead is when the rows were read last for what stands on a list.
func (a *Authority) RowsRead(issuer string, which certs.ListName) time.Time {
	return a.last.get(listOf{a.known.Load().byName[issuer].id, which}).rows
}

// ForgetLists has the next lists made of rows.
func (a *Authority) ForgetLists() {
	a.last.mu.Lock()
	defer a.last.mu.Unlock()
	for name := range a.last.of {
		a.last.of[name] = madeHere{}
	}
}

// Begun is since when lists might have been made.
func (a *Authority) Begun() time.Time {
	a.last.mu.Lock()
	defer a.last.mu.Unlock()
	return a.last.begun
}
