package ca_test

import (
	"testing"
	"time"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// The fault table of publishing: every external write of a list of more than
// one piece of content, failed or not reached because the process died; what
// is served then, and whether the next start's list is whole. The steps are the
// heartbeat, the pieces of both forms (on SQLite each is a commit besides), the
// two contents, and the record. Whatever fails, the list before stays, and what
// was stored for nothing is dropped.
func TestFaultTableOfPublishing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := newWorld(t)
	w.revokedInBulk(ca.Services, 12_000, "\x05")
	before := w.shard(ca.Services, 5).List
	commits := 0
	w.faults.Before = func(step string) error {
		if step == "commit" {
			commits++
		}
		return nil
	}
	w.must(w.authority, ca.Services, certs.ShardList(5))
	w.faults.Before = nil
	whole := w.shard(ca.Services, 5)
	if commits < 5 || whole.List.Number <= before.Number {
		t.Fatalf("list %d in %d commits", whole.List.Number, commits)
	}
	for step := 1; step <= commits; step++ {
		for _, row := range []faultRow{{fails: step}, {dies: step}} {
			w.advance(2 * time.Second)
			kept := w.shard(ca.Services, 5).List
			w.faults.Before, w.faults.After = row.hooks()
			_, err := w.newAuthority(w.hierarchy.Issuers).PublishList(t.Context(), ca.Services, certs.ShardList(5))
			w.faults.Before, w.faults.After = nil, nil
			if err == nil {
				t.Errorf("%+v: no error", row)
			}
			if now := w.shard(ca.Services, 5).List; now != kept {
				t.Errorf("%+v: list %d took the place of %d", row, now.Number, kept.Number)
			}
			w.namedWhole(ca.Services, 5)
			w.must(w.newAuthority(w.hierarchy.Issuers), ca.Services, certs.ShardList(5))
			if now := w.shard(ca.Services, 5); now.List.Number <= kept.Number || now.Entries != whole.Entries {
				t.Errorf("%+v: after the next start list %d with %d entries", row, now.List.Number, now.Entries)
			}
		}
	}
	w.nothingLeftBehind()
}

// namedWhole checks that a shard's list can be read to its end.
func (w *world) namedWhole(issuer string, shard uint16) {
	w.Helper()
	w.named(issuer, certs.ShardList(shard))
}

// nothingLeftBehind lets two days pass and sweeps: what then is stored for lists
// is what they are.
func (w *world) nothingLeftBehind() {
	w.Helper()
	w.write(register.ForgetUnpublished)
	w.advance(49 * time.Hour)
	w.write(func(tx *ledger.Tx) error {
		_, err := register.DropPast(tx, tx.Time().Add(-48*time.Hour), 10_000)
		return err
	})
	w.read(func(tx *ledger.Tx) error {
		loose, err := tx.LooseContents()
		if err != nil {
			return err
		}
		lists, err := register.Lists(tx)
		known := map[journal.Hash]bool{}
		for _, l := range lists {
			known[l.List.Content], known[l.List.Packed] = true, true
		}
		for _, h := range loose {
			if !known[h] {
				w.Errorf("content %s is nobody's", h)
			}
		}
		return err
	})
}

func TestClockStepsBackAndForwardKeepListsInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := w.issue(w.pair("900000000017", "a"))[0]
	last := w.shard(one.Issuer, one.Shard).List
	for _, step := range []time.Duration{-time.Hour, 0, 5 * time.Minute, 48 * time.Hour, -47 * time.Hour, 0} {
		w.advance(step)
		list, err := w.authority.PublishList(t.Context(), one.Issuer, certs.ShardList(one.Shard))
		if err != nil {
			t.Fatalf("after a step of %s: %v", step, err)
		}
		if list.Number <= last.Number || list.ThisUpdate.Before(last.ThisUpdate) || !list.NextUpdate.After(list.ThisUpdate) {
			t.Errorf("after a step of %s: list %d of %s after %d of %s", step, list.Number, list.ThisUpdate, last.Number, last.ThisUpdate)
		}
		last = list
	}
	w.setStatus(certs.Held(), one.Ref) // while the clock is behind the ledger's time
	w.publish(&ca.Publisher{Authority: w.authority})
	w.waitFor("the list", func() bool { return w.shard(one.Issuer, one.Shard).List.Number > last.Number })
}

func TestTwoWritersOfOneLedgerGiveOutEachNumberOnce(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := newWorld(t)
	one := w.issue(w.pair("900000000017", "a"))[0]
	other := w.newAuthority(w.hierarchy.Issuers)
	w.publish(&ca.Publisher{Authority: w.authority})
	w.publish(&ca.Publisher{Authority: other})
	for range 3 {
		w.setStatus(certs.Held(), one.Ref)
		w.write(func(tx *ledger.Tx) error { return register.Release(tx, []certs.Ref{one.Ref}) })
	}
	w.waitFor("all that changed", func() bool { s := w.shard(one.Issuer, one.Shard); return s.Listed == s.Changes })
	changes, err := w.ledger.Feed().Read(t.Context(), 0, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[certs.ListName]uint64{}
	for _, c := range changes {
		list, err := certs.ParseListPublished(c.Body)
		if c.Kind != journal.KindListPublished || err != nil || list.Issuer != one.Ref.Issuer {
			continue
		}
		if list.Number <= seen[list.Name()] {
			t.Errorf("list %s: %d after %d", list.Name(), list.Number, seen[list.Name()])
		}
		seen[list.Name()] = list.Number
	}
}
