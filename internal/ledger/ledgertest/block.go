package ledgertest

import (
	"context"
	"slices"
	"testing"
	"time"

	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// blocksLetIn has a block come while a single write runs: the single one is
// answered before the block begins, and whoever writes block after block lets
// others in between.
func blocksLetIn(t *testing.T, e Engine) {
	l := create(t, ledger.Options{URL: e.URL(t)})
	answered, ended := make(chan journal.Position, 1), make(chan error, 1)
	block := func(tx *ledger.Tx) error {
		select {
		case p := <-answered:
			tx.Defer(insertItem, 2, "block", nil)
			if p > tx.Head().Position {
				t.Errorf("the block sees position %d, the write before it was %d", tx.Head().Position, p)
			}
			return nil
		case <-time.After(time.Minute):
			t.Error("a block began before the write in front of it was answered")
			return errRefused
		}
	}
	p, err := l.Write(t.Context(), func(tx *ledger.Tx) error {
		go func() {
			_, err := l.WriteBlock(context.WithoutCancel(tx.Context()), block)
			ended <- err
		}()
		time.Sleep(20 * time.Millisecond) // it has come by now, or the test is a weak one
		return item(1, "single")(tx)
	})
	if err != nil {
		t.Fatal(err)
	}
	answered <- p
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if n := count(t, l, `SELECT count(*) FROM suite_item`); n != 2 {
		t.Errorf("%d rows", n)
	}
}

// dollars stand for arguments but in a text.
func dollars(t *testing.T, e Engine) {
	l := create(t, ledger.Options{URL: e.URL(t)})
	write(t, l, func(tx *ledger.Tx) error {
		tx.Defer(`INSERT INTO suite_item (id, name) VALUES ($1, '$2 ''$3'' "$4"')`, 1)
		return nil
	})
	if n := count(t, l, `SELECT count(*) FROM suite_item "$9" WHERE name = $2 AND id = $1`, 1, `$2 '$3' "$4"`); n != 1 {
		t.Errorf("%d rows", n)
	}
	err := l.Read(t.Context(), func(tx *ledger.Tx) error {
		return tx.QueryRow(`SELECT id FROM suite_item WHERE id = $1 AND name = $2`, 1).Scan(new(int64))
	})
	if err == nil {
		t.Error("a missing argument went unnoticed")
	}
}

// snapshots stand still, and what came since one was taken is known.
func snapshots(t *testing.T, e Engine) {
	snapshotRead(t, e)
	since(t, e)
}

// since has a transaction learn what was appended after another's snapshot.
func since(t *testing.T, e Engine) {
	l := create(t, ledger.Options{URL: e.URL(t)})
	write(t, l, item(1, "before"))
	var seen journal.Head
	if err := l.Read(t.Context(), func(tx *ledger.Tx) error { seen = tx.Head(); return nil }); err != nil {
		t.Fatal(err)
	}
	ask := func(head journal.Head, own ledger.Span, most int, want ...string) {
		t.Helper()
		write(t, l, func(tx *ledger.Tx) error {
			changes, known, err := tx.Since(head, own, most)
			if err != nil {
				return err
			}
			var got []string
			for _, c := range changes {
				got = append(got, string(c.Body))
			}
			if known != (want != nil) || known && !slices.Equal(got, want) {
				t.Errorf("since %d without %v, at most %d: %q, %v", head.Position, own, most, got, known)
			}
			return nil
		})
	}
	ask(seen, ledger.Span{}, 5, []string{}...)
	first := write(t, l, item(2, "one"))
	last := write(t, l, func(tx *ledger.Tx) error {
		tx.Append(journal.KindEntryAdded, 1, []byte("two"))
		return item(3, "three")(tx)
	})
	write(t, l, item(4, "four"))
	ask(seen, ledger.Span{}, 4, "one", "two", "three", "four")
	ask(seen, ledger.Span{After: first, To: last}, 2, "one", "four")
	ask(seen, ledger.Span{After: 0, To: last}, 1, "four")
	ask(seen, ledger.Span{After: 0, To: last + 1}, 1, []string{}...)
	ask(seen, ledger.Span{}, 3)
	other := seen
	other.Link[0]++
	ask(other, ledger.Span{}, 9)
	other = seen
	other.Position = last + 9
	ask(other, ledger.Span{}, 9)
	other = seen
	other.Epoch++
	ask(other, ledger.Span{}, 9)
}
