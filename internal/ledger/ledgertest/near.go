package ledgertest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// nearAndFar has two processes commit in turn. Whoever follows in one of them meets every position once.
func nearAndFar(t *testing.T, e Engine) {
	url := e.URL(t)
	mine := create(t, ledger.Options{URL: url})
	theirs := open(t, ledger.Options{URL: url})
	f := nearFollower{t: t, feed: mine.NearFeed()}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range 40 {
		want := write(t, []*ledger.Ledger{mine, theirs, theirs, mine, mine}[i%5], item(i, fmt.Sprint("item ", i)))
		for i%3 != 2 && f.at < want { // at times there is more than one to be met
			f.step(ctx, 1+i%4)
		}
	}
	if _, err := journal.VerifyChain(ctx, f.feed); err != nil {
		t.Error(err)
	}
}

type nearFollower struct {
	t    *testing.T
	feed journal.Feed
	at   journal.Position
}

func (f *nearFollower) step(ctx context.Context, limit int) {
	f.t.Helper()
	if err := f.feed.Wait(ctx, f.at); err != nil {
		f.t.Fatal(err)
	}
	head, err := f.feed.Head(ctx)
	if err != nil || head.Position < f.at {
		f.t.Fatalf("the head stands at %d after %d: %v", head.Position, f.at, err)
	}
	changes, err := f.feed.Read(ctx, f.at, limit)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, c := range changes {
		if f.at++; c.Position != f.at || string(c.Body) != fmt.Sprint("item ", f.at-1) {
			f.t.Fatalf("position %d with %q follows %d", c.Position, c.Body, f.at-1)
		}
	}
}

// nearErased: what was erased is not shown from memory either.
func nearErased(t *testing.T, e Engine) {
	l := create(t, ledger.Options{URL: e.URL(t)})
	for i := range 3 {
		write(t, l, item(i, "somebody"))
	}
	if _, err := l.Write(t.Context(), func(tx *ledger.Tx) error { return tx.Erase(2) }); err != nil {
		t.Fatal(err)
	}
	write(t, l, item(4, "another"))
	changes, err := l.NearFeed().Read(t.Context(), 0, 10)
	if err != nil || len(changes) != 4 || !changes[1].Erased || changes[1].Body != nil || changes[2].Erased {
		t.Errorf("read %+v, %v", changes, err)
	}
}

// crowded has many writers write at once: they share commits, and each is answered.
func crowded(t *testing.T, e Engine) {
	var mu sync.Mutex
	commits := 0
	l := create(t, ledger.Options{URL: e.URL(t), Faults: &ledger.Faults{After: func(step string) error {
		if step == "commit" {
			mu.Lock()
			defer mu.Unlock()
			commits++
		}
		return nil
	}}})
	const writers, each = 32, 20
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				if _, err := l.Write(t.Context(), item(w*each+i, "item")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := count(t, l, `SELECT count(*) FROM suite_item`); n != writers*each {
		t.Errorf("%d rows of %d", n, writers*each)
	}
	t.Logf("%d writes in %d commits", writers*each, commits)
	if commits > writers*each/4 {
		t.Errorf("%d commits for %d writes of %d writers", commits, writers*each, writers)
	}
}
