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

// RowsRead is when the rows were read last for what stands on a list.
func (a *Authority) RowsRead(issuer string, which certs.ListName) time.Time {
	return a.last.get(listOf{a.known.Load().byName[issuer].id, which}).rows
}

// ForgetLists has the next lists made of rows.
func (a *Authority) ForgetLists() {
	a.last.mu.Lock()
	defer a.last.mu.Unlock()
	clear(a.last.of)
}
