package ledgertest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

func readOnly(t *testing.T, e Engine) {
	o := ledger.Options{URL: e.URL(t)}
	writer := create(t, o)
	write(t, writer, item(1, "one"))
	o.ReadOnly = true
	reader := open(t, o)
	if _, err := reader.Write(t.Context(), item(2, "two")); !errors.Is(err, ledger.ErrReadOnly) {
		t.Errorf("writing: %v", err)
	}
	if _, err := reader.NewContent(t.Context()); !errors.Is(err, ledger.ErrReadOnly) {
		t.Errorf("new content: %v", err)
	}
	// Its Wait must see what another process, here another ledger, commits.
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() { done <- reader.Feed().Wait(ctx, 1) }()
	time.Sleep(5 * time.Millisecond)
	write(t, writer, item(2, "two"))
	if err := <-done; err != nil {
		t.Errorf("waiting: %v", err)
	}
	if head := verify(t, reader); head.Position != 2 {
		t.Errorf("reader stands at %d", head.Position)
	}
	reader.Close()
	writer.Close()
	if head := verify(t, open(t, o)); head.Position != 2 {
		t.Errorf("a reader without a writer stands at %d", head.Position)
	}
}

func closed(t *testing.T, e Engine) {
	l := create(t, ledger.Options{URL: e.URL(t)})
	write(t, l, item(1, "one"))
	feed := l.Feed()
	waits := make(chan error, 1)
	go func() { waits <- feed.Wait(context.Background(), 1) }()
	time.Sleep(5 * time.Millisecond)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-waits; err == nil {
		t.Error("a wait ended well when the ledger was closed")
	}
	if _, err := l.Write(t.Context(), item(2, "two")); !errors.Is(err, ledger.ErrClosed) {
		t.Errorf("writing: %v", err)
	}
	if err := l.Read(t.Context(), func(*ledger.Tx) error { return nil }); !errors.Is(err, ledger.ErrClosed) {
		t.Errorf("reading: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

func beats(t *testing.T, e Engine) {
	l := create(t, ledger.Options{URL: e.URL(t)})
	before, err := l.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { l.Beat(ctx); close(done) }()
	if err := l.Feed().Wait(t.Context(), 0); err != nil {
		t.Error(err)
	}
	cancel()
	<-done
	after, err := l.Head(t.Context())
	if err != nil || !after.Time.After(before.Time) || after.Position != 0 {
		t.Errorf("head went from %v to %+v: %v", before.Time, after, err)
	}
}

func epochs(t *testing.T, e Engine) {
	l := create(t, ledger.Options{URL: e.URL(t)})
	write(t, l, item(1, "one"))
	if err := l.RaiseEpoch(t.Context(), "failover"); err != nil {
		t.Fatal(err)
	}
	if err := l.SetQuarantine(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	head := verify(t, l)
	if head.Epoch != 2 || !head.Quarantine || head.Position != 2 {
		t.Errorf("head %+v", head)
	}
	changes, err := l.Feed().Read(t.Context(), 1, 1)
	if err != nil || len(changes) != 1 || changes[0].Kind != journal.KindEpochBegan {
		t.Fatalf("%d changes: %v", len(changes), err)
	}
	began, err := journal.ParseEpochBegan(changes[0].Body)
	if err != nil || began.Epoch != 2 || began.Previous != 1 || began.Reason != "failover" {
		t.Errorf("%+v: %v", began, err)
	}
	write(t, l, func(tx *ledger.Tx) error {
		if h := tx.Head(); h.Epoch != 2 || !h.Quarantine || h.Position != 2 {
			t.Errorf("transaction found %+v", h)
		}
		return nil
	})
	if err := l.SetQuarantine(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if head, _ := l.Head(t.Context()); head.Quarantine {
		t.Error("quarantine did not end")
	}
}

func erases(t *testing.T, e Engine) {
	l := create(t, ledger.Options{URL: e.URL(t)})
	for i := range 3 {
		write(t, l, item(i, "personal"))
	}
	write(t, l, func(tx *ledger.Tx) error { return tx.Erase(2) })
	if _, err := l.Write(t.Context(), func(tx *ledger.Tx) error { return tx.Erase(9) }); err == nil {
		t.Error("erased a change that is not there")
	}
	changes, err := l.Feed().Read(t.Context(), 1, 1)
	if err != nil || len(changes) != 1 || !changes[0].Erased || changes[0].Body != nil {
		t.Errorf("%+v: %v", changes, err)
	}
	if _, err := journal.VerifyChain(t.Context(), l.Feed()); err != nil {
		t.Error(err)
	}
	r, err := ledger.Restore(t.Context(), ledger.Options{URL: SQLite().URL(t), Rooms: Rooms()}, bytes.NewReader(dump(t, l)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := journal.VerifyChain(t.Context(), r.Feed()); err != nil {
		t.Errorf("restored: %v", err)
	}
}

func contents(t *testing.T, e Engine) {
	l := create(t, ledger.Options{URL: e.URL(t)})
	data := bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuv"), 5<<15) // 5 MiB, all chunks alike
	data = append(data, "tail"...)
	for range 2 {
		w, err := l.NewContent(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, iotest.HalfReader(bytes.NewReader(data))); err != nil {
			t.Fatal(err)
		}
		h, err := w.Close()
		if err != nil {
			t.Fatal(err)
		}
		r, err := l.Feed().Content(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(r, data); err != nil {
			t.Errorf("streaming: %v", err)
		}
		r.Close()
		err = l.Read(t.Context(), func(tx *ledger.Tx) error {
			got, err := tx.Content(h)
			if !bytes.Equal(got, data) {
				t.Errorf("%d bytes of %d", len(got), len(data))
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	if n := count(t, l, `SELECT count(*) FROM ledger_chunk`); n != 2 {
		t.Errorf("%d chunks for two different ones", n)
	}
	write(t, l, func(tx *ledger.Tx) error {
		h, err := tx.PutContent([]byte("small"))
		if err != nil {
			return err
		}
		got, err := tx.Content(h)
		if string(got) != "small" {
			t.Errorf("read back %q in the same transaction", got)
		}
		if _, err := tx.Content(journal.Hash{1}); !errors.Is(err, journal.ErrNoContent) {
			t.Errorf("unknown content: %v", err)
		}
		return err
	})
}

func damagedContents(t *testing.T, e Engine) {
	l := create(t, ledger.Options{URL: e.URL(t)})
	var h journal.Hash
	write(t, l, func(tx *ledger.Tx) (err error) {
		for _, data := range []string{"a", "", "b", "c"} {
			if h, err = tx.PutContent([]byte(data)); err != nil {
				return err
			}
		}
		return nil
	})
	if err := l.VerifyContents(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, l, func(tx *ledger.Tx) error {
		_, err := tx.Exec(`UPDATE ledger_chunk SET data = $1 WHERE hash = $2`, []byte("d"), h) // a chunk of one byte is its content
		return err
	})
	var damaged *ledger.DamagedContent
	if err := l.VerifyContents(t.Context()); !errors.As(err, &damaged) || damaged.Hash != h {
		t.Errorf("verifying: %v", err)
	}
	if err := l.Read(t.Context(), func(tx *ledger.Tx) error { _, err := tx.Content(h); return err }); !errors.As(err, &damaged) {
		t.Errorf("reading: %v", err)
	}
	r, err := l.Feed().Content(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); !errors.As(err, &damaged) {
		t.Errorf("streaming: %v", err)
	}
}

func sweeps(t *testing.T, e Engine) {
	now := time.Now()
	l := create(t, ledger.Options{URL: e.URL(t), Now: func() time.Time { return now }, MaxSkew: -1})
	abandoned, err := l.NewContent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := abandoned.Write(make([]byte, ledger.ChunkSize)); err != nil {
		t.Fatal(err)
	}
	kept, err := l.NewContent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kept.Write([]byte("kept")); err != nil {
		t.Fatal(err)
	}
	h, err := kept.Close()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := l.Sweep(t.Context(), time.Hour); err != nil || n != 0 {
		t.Errorf("swept %d fresh chunks: %v", n, err)
	}
	if n, err := l.Sweep(t.Context(), 0); err != nil || n != 1 {
		t.Errorf("swept %d chunks: %v", n, err)
	}
	if _, err := abandoned.Close(); err == nil {
		t.Error("a content whose chunk was swept was closed")
	}
	if r, err := l.Feed().Content(t.Context(), h); err != nil {
		t.Error(err)
	} else if got, _ := io.ReadAll(r); string(got) != "kept" {
		t.Errorf("read %q", got)
	}
}

func checkpoints(t *testing.T, e Engine) {
	l := create(t, ledger.Options{URL: e.URL(t)})
	write(t, l, item(1, "one"))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	made, err := l.Checkpoint(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := l.Feed().Read(t.Context(), 1, 1)
	if err != nil || len(changes) != 1 || changes[0].Kind != journal.KindCheckpoint {
		t.Fatalf("%d changes: %v", len(changes), err)
	}
	read, err := journal.ParseCheckpoint(changes[0].Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := read.Verify(key.Public()); err != nil || read.Position != 1 || read.State != made.State || read.Scope != "ledger" {
		t.Errorf("%+v: %v", read, err)
	}
	digest, _, err := l.Digest(t.Context())
	if err != nil || digest != made.State {
		t.Errorf("digest changed without a row changing: %v", err)
	}
	write(t, l, item(2, "two"))
	if digest, _, _ := l.Digest(t.Context()); digest == made.State {
		t.Error("digest did not change with a row")
	}
}

func tampered(t *testing.T, e Engine) {
	l := create(t, ledger.Options{URL: e.URL(t)})
	for i := range 5 {
		write(t, l, item(i, "item"))
	}
	mend := func(column, value string, args ...any) {
		t.Helper()
		write(t, l, func(tx *ledger.Tx) error {
			_, err := tx.Exec(`UPDATE ledger_journal SET `+column+` = `+value+` WHERE position = 3`, args...)
			return err
		})
	}
	breaks := func(column, value string, args ...any) {
		t.Helper()
		mend(column, value, args...)
		var broken *journal.BrokenLink
		if _, err := journal.VerifyChain(t.Context(), l.Feed()); !errors.As(err, &broken) || broken.Position != 3 {
			t.Errorf("%s changed at 3: %v", column, err)
		}
	}
	for _, column := range []string{"body", "salt", "body_hash", "link"} {
		var kept []byte
		if err := l.Read(t.Context(), func(tx *ledger.Tx) error {
			return tx.QueryRow(`SELECT ` + column + ` FROM ledger_journal WHERE position = 3`).Scan(&kept)
		}); err != nil {
			t.Fatal(err)
		}
		bad := bytes.Clone(kept)
		bad[0] ^= 1
		breaks(column, "$1", bad)
		mend(column, "$1", kept)
	}
	for _, column := range []string{"kind", "version", "last", "at"} {
		breaks(column, column+" - 1")
		mend(column, column+" + 1")
	}
	write(t, l, func(tx *ledger.Tx) error {
		_, err := tx.Exec(`DELETE FROM ledger_journal WHERE position = 3`)
		return err
	})
	if _, err := l.Feed().Read(t.Context(), 1, 10); !errors.Is(err, journal.ErrGap) {
		t.Errorf("reading over a gap: %v", err)
	}
}
