package ledgertest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

func dump(t *testing.T, l *ledger.Ledger) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := l.Dump(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// restored takes a backup, goes on, and restores the backup: a live follower of the old ledger must be able to tell.
func restored(t *testing.T, e Engine) {
	l := create(t, ledger.Options{URL: e.URL(t)})
	race(t, 4, 10, l)
	big := bytes.Repeat([]byte("content"), 300000)
	w, err := l.NewContent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.Write(big)
	content, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	write(t, l, func(tx *ledger.Tx) error {
		tx.Defer(`INSERT INTO suite_value (id, n, s, b) VALUES (1, $1, $2, $3), (2, NULL, '', NULL)`, int64(-1)<<63, "tëxt\x01", []byte{})
		return nil
	})
	backup := dump(t, l)
	at := verify(t, l)
	digest, _, err := l.Digest(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	// The tail the backup does not have; a follower has applied it.
	write(t, l, item(1000, "revoked after the backup"))
	follower := journal.Verifier{}
	for follower.Position <= at.Position {
		changes, err := l.Feed().Read(t.Context(), follower.Position, 100)
		if err != nil || len(changes) == 0 {
			t.Fatalf("following: %d changes: %v", len(changes), err)
		}
		for i := range changes {
			if err := follower.Next(&changes[i]); err != nil {
				t.Fatal(err)
			}
		}
	}

	for name, target := range map[string]Engine{"same engine": e, "SQLite": SQLite()} {
		o := ledger.Options{URL: target.URL(t), Rooms: Rooms()}
		r, err := ledger.Restore(t.Context(), o, bytes.NewReader(backup))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Cleanup(func() { r.Close() })
		checkRestored(t, r, at, follower)
		if c, err := r.Feed().Content(t.Context(), content); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, big) {
			t.Errorf("%s: %d bytes of content: %v", name, len(got), err)
		}
		if got, _, err := r.Digest(t.Context()); err != nil || got != digest {
			t.Errorf("%s: the restored rows differ: %v", name, err)
		}
		if _, err := ledger.Restore(t.Context(), o, bytes.NewReader(backup)); !errors.Is(err, ledger.ErrExists) {
			t.Errorf("%s: restoring over a ledger: %v", name, err)
		}
	}
}

// checkRestored looks at a restored ledger with the eyes of a follower that is ahead of it.
func checkRestored(t *testing.T, r *ledger.Ledger, at journal.Head, follower journal.Verifier) {
	t.Helper()
	head := verify(t, r)
	if head.Epoch != at.Epoch+1 || !head.Quarantine || head.Position != at.Position+1 || head.Time.Before(at.Time) {
		t.Errorf("restored head %+v, backup taken at %+v", head, at)
	}
	changes, err := r.Feed().Read(t.Context(), at.Position, 1)
	if err != nil || len(changes) != 1 || changes[0].Kind != journal.KindEpochBegan {
		t.Fatalf("%d changes after the backup: %v", len(changes), err)
	}
	// Same position, other link: also a follower that ignored epochs would notice.
	if changes[0].Link == follower.Link {
		t.Error("the new epoch continues with the old link")
	}
	for range 3 { // beyond the follower's position the chain does not fit either
		write(t, r, func(tx *ledger.Tx) error { tx.Append(journal.KindStatusChanged, 1, nil); return nil })
	}
	changes, err = r.Feed().Read(t.Context(), follower.Position, 1)
	if err != nil || len(changes) == 0 {
		t.Fatalf("%d changes: %v", len(changes), err)
	}
	var broken *journal.BrokenLink
	if err := follower.Next(&changes[0]); !errors.As(err, &broken) {
		t.Errorf("a follower of the old ledger accepted the restored one: %v", err)
	}
	if n := count(t, r, `SELECT count(*) FROM suite_item WHERE id = 1000`); n != 0 {
		t.Error("the restored ledger has what was written after the backup")
	}
}

func interruptedRestore(t *testing.T, e Engine) {
	l := create(t, ledger.Options{URL: e.URL(t)})
	write(t, l, item(1, "one"))
	backup := dump(t, l)
	o := ledger.Options{URL: e.URL(t), Rooms: Rooms()}
	if _, err := ledger.Restore(t.Context(), o, bytes.NewReader(backup[:len(backup)-40])); err == nil {
		t.Fatal("restored a dump cut short")
	}
	if _, err := ledger.Open(t.Context(), o); !errors.Is(err, ledger.ErrUnfinished) {
		t.Errorf("opening what an interrupted restore left: %v", err)
	}
	if _, err := ledger.Migrate(t.Context(), o); !errors.Is(err, ledger.ErrUnfinished) {
		t.Errorf("migrating what an interrupted restore left: %v", err)
	}
}

func dumpWhileWriting(t *testing.T, e Engine) {
	l := create(t, ledger.Options{URL: e.URL(t)})
	race(t, 4, 25, l)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for id := 1_000_000; ctx.Err() == nil; id++ {
			l.Write(ctx, item(id, "while dumping"))
		}
	})
	var b bytes.Buffer
	slow := writerFunc(func(p []byte) (int, error) { // give writes time to happen
		time.Sleep(2 * time.Millisecond)
		return b.Write(p)
	})
	err := l.Dump(t.Context(), slow)
	cancel()
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	r, err := ledger.Restore(t.Context(), ledger.Options{URL: SQLite().URL(t), Rooms: Rooms()}, &b)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	verify(t, r) // rows and journal agree: one snapshot
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
