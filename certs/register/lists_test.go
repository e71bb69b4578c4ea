package register_test

import (
	"crypto/rand"
	"errors"
	"strings"
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
		return register.Revoked(tx, w.issuer, certs.ShardList(shard), func(e register.Entry) error {
			serials = append(serials, e.Serial)
			return nil
		})
	})
	return serials
}

func (w *world) list(shard uint16, number uint64) error {
	return w.write(func(tx *ledger.Tx) error {
		s, err := register.LastList(tx, w.issuer, certs.ShardList(shard))
		if err != nil {
			return err
		}
		at := tx.Time().Truncate(time.Second)
		return register.RecordLists(tx, register.MadeList{Listed: s.Changes, ListPublished: certs.ListPublished{Issuer: w.issuer, Shard: shard, Number: number,
			ThisUpdate: at, NextUpdate: at.Add(7 * 24 * time.Hour), Content: journal.Hash{byte(number)}, Size: 5}})
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
		return register.RecordLists(tx, register.MadeList{ListPublished: certs.ListPublished{Issuer: w.issuer, Number: 99, ThisUpdate: begin.Add(-time.Hour)}})
	}
	if err := w.write(stale); !errors.Is(err, register.ErrListOvertaken) {
		t.Errorf("an older list with a higher number: %v", err)
	}
	w.read(func(tx *ledger.Tx) error {
		s, err := register.LastList(tx, w.issuer, certs.ShardList(0))
		if err != nil || s.List.Number != 8 || s.List.Content != (journal.Hash{8}) || s.Name != "authentication" || s.List.Size != 5 {
			t.Errorf("last list %+v, %v", s, err)
		}
		return nil
	})
}

// BenchmarkRevoke500 is the largest set one transaction should take.
func BenchmarkRevoke500(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		w := newWorld(b)
		refs := w.bulk(500)
		b.StartTimer()
		w.must(func(tx *ledger.Tx) error { return register.SetStatus(tx, refs, certs.Revoked(certs.ReasonSuperseded)) })
	}
}

// bulk writes certificates down without making them.
func (w *world) bulk(n int) []certs.Ref {
	w.Helper()
	var refs []certs.Ref
	w.must(func(tx *ledger.Tx) error {
		refs = refs[:0]
		for range n {
			serial, err := certs.NewSerial(time.Now(), rand.Reader)
			if err != nil {
				return err
			}
			tx.Defer(`INSERT INTO certs_serial (issuer, serial, state, profile, holder, card, request, shard, key_digest, policy,
				tbs_hash, not_before, not_after, reserved, why)
				VALUES ($1, $2, 1, 'signature', '900000000017', $3, '', 3, $4, $4, $4, $5, $5, $5, '')`,
				journal.Hash(w.issuer), []byte(serial), serial.Hex(), []byte(serial), tx.Time())
			refs = append(refs, certs.Ref{Issuer: w.issuer, Serial: serial})
		}
		return nil
	})
	return refs
}

func TestTheListsQueryUsesItsIndex(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.bulk(300)
	w.must(func(tx *ledger.Tx) error {
		rows, err := tx.Query(`EXPLAIN QUERY PLAN SELECT shard, serial, status * 256 + reason, revoked, invalidity, changed FROM certs_status
			WHERE issuer = $1 AND status <> 0 AND (not_after >= $2 OR changed >= $2) AND shard = $3 ORDER BY shard, serial`, 1, 0, 3)
		if err != nil {
			return err
		}
		plan := ""
		for rows.Next() {
			var a, b, c int
			var step string
			if err := rows.Scan(&a, &b, &c, &step); err != nil {
				return err
			}
			plan += step + "; "
		}
		if !strings.Contains(plan, "SEARCH certs_status USING PRIMARY KEY") || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("plan: %s", plan)
		}
		return rows.Err()
	})
}
