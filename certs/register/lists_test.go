package register_test

import (
	"errors"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

func (w *world) revoked(shard uint16) []certs.Serial {
	w.Helper()
	var serials []certs.Serial
	w.read(func(tx *ledger.Tx) error {
		return register.Revoked(tx, w.issuer, shard, func(e register.Entry) error {
			serials = append(serials, e.Serial)
			return nil
		})
	})
	return serials
}

func (w *world) list(shard uint16, number uint64) error {
	return w.write(func(tx *ledger.Tx) error {
		s, err := register.LastList(tx, w.issuer, shard)
		if err != nil {
			return err
		}
		at := tx.Time().Truncate(time.Second)
		return register.RecordList(tx, certs.ListPublished{Issuer: w.issuer, Shard: shard, Number: number,
			ThisUpdate: at, NextUpdate: at.Add(7 * 24 * time.Hour), Content: journal.Hash{byte(number)}, Size: 5}, s.Changes)
	})
}

func TestExpiredEntryStaysForOneListPastItsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.issue(1, "a")
	w.must(func(tx *ledger.Tx) error {
		return register.SetStatus(tx, []certs.Ref{p.Ref}, certs.Revoked(certs.ReasonSuperseded))
	})
	end := p.certificate.NotAfter
	for i, step := range []struct {
		at   time.Time
		want int
	}{
		{begin.Add(time.Minute), 1},  // valid
		{end.Add(-time.Second), 1},   // the last second but one
		{end.Add(time.Hour), 1},      // the first list past the end still names it
		{end.Add(2 * time.Hour), 0},  // it has been on one past the end
		{end.Add(48 * time.Hour), 0}, // and never comes back
	} {
		w.now = step.at
		if got := w.revoked(1); len(got) != step.want {
			t.Errorf("list %d at %s: %d entries, want %d", i, step.at, len(got), step.want)
		}
		if err := w.list(1, uint64(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.revoked(0); len(got) != 0 {
		t.Errorf("another shard lists %v", got)
	}
}

func TestEntryRevokedAfterItsEndIsListedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.issue(1, "a")
	w.now = p.certificate.NotAfter.Add(time.Hour)
	if err := w.list(1, 1); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Hour)
	w.must(func(tx *ledger.Tx) error {
		return register.SetStatus(tx, []certs.Ref{p.Ref}, certs.Revoked(certs.ReasonKeyCompromise))
	})
	if got := w.revoked(1); len(got) != 1 {
		t.Errorf("listed %v", got)
	}
	w.now = w.now.Add(time.Minute)
	if err := w.list(1, 2); err != nil {
		t.Fatal(err)
	}
	if got := w.revoked(1); len(got) != 0 {
		t.Errorf("listed again %v", got)
	}
}

func TestListNumbersOnlyRise(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.list(0, 7); err != nil {
		t.Fatal(err)
	}
	for _, number := range []uint64{7, 6, 0} {
		if err := w.list(0, number); !errors.Is(err, register.ErrListOvertaken) {
			t.Errorf("number %d after 7: %v", number, err)
		}
	}
	if err := w.list(0, 8); err != nil {
		t.Error(err)
	}
	if err := w.list(9, 1); !errors.Is(err, register.ErrUnknownShard) {
		t.Errorf("shard 9: %v", err)
	}
	stale := func(tx *ledger.Tx) error {
		return register.RecordList(tx, certs.ListPublished{Issuer: w.issuer, Number: 99, ThisUpdate: begin.Add(-time.Hour)}, 0)
	}
	if err := w.write(stale); !errors.Is(err, register.ErrListOvertaken) {
		t.Errorf("an older list with a higher number: %v", err)
	}
	w.read(func(tx *ledger.Tx) error {
		s, err := register.LastList(tx, w.issuer, 0)
		if err != nil || s.List.Number != 8 || s.List.Content != (journal.Hash{8}) || s.Name != "authentication" || s.List.Size != 5 {
			t.Errorf("last list %+v, %v", s, err)
		}
		return nil
	})
}
