package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"cardinal/internal/journal/feed"
	"cardinal/internal/ledger"
)

// TestANodeOfADroppedHistoryHasNothingThatWasCommittedSince: its position is of other changes.
func TestANodeOfADroppedHistoryHasNothingThatWasCommittedSince(t *testing.T) {
	t.Parallel()
	l, err := ledger.Create(t.Context(), ledger.Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "ledger.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	head, err := l.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leases := feed.NewLeases(func(context.Context) ([]feed.Node, error) {
		return []feed.Node{{Name: "here"}, {Name: "of-before"}}, nil
	})
	now := time.Now()
	leases.Note("here", feed.Lease{Epoch: head.Epoch, Position: 7}, now)
	leases.Note("of-before", feed.Lease{Epoch: head.Epoch + 1, Position: 9}, now)
	o := &nodesOf{n: &node{ledger: l, now: time.Now, feed: &feedSide{leases: leases}}}
	all, err := o.Applied(t.Context())
	if err != nil || len(all) != 2 || all[0].Position != 7 || all[1].Position != 0 || !all[1].Live {
		t.Errorf("%+v: %v", all, err)
	}
}
