package ca_test

import (
	"slices"
	"testing"
	"time"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// The fault table of publishing: every external write of a list of more than
// one piece of content and of its delta, failed or not reached because the
// process died; what is served then, and whether the next start's list is
// whole. The steps are the heartbeat, the pieces of both forms (on SQLite each
// is a commit besides), the two contents, and the record of both lists.
// Whatever fails, the lists before stay, and what was stored for nothing is
// dropped.
func TestFaultTableOfPublishing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := newWorld(t)
	w.revokedInBulk(ca.Services, 12_000, "\x05")
	w.advance(2 * time.Second) // the delta is about nothing
	publish := func() error {
		_, err := w.with(ca.ListPolicy{Delta: true}).PublishList(t.Context(), ca.Services, certs.ShardList(5))
		return err
	}
	must(t, publish()) // what the delta stands on
	before := w.both()
	commits := 0
	w.faults.Before = func(step string) error {
		if step == "commit" {
			commits++
		}
		return nil
	}
	w.advance(2 * time.Second)
	must(t, publish())
	w.faults.Before = nil
	whole := w.both()
	if commits < 5 || whole[0].Number <= before[0].Number || whole[1].Number != whole[0].Number {
		t.Fatalf("lists %d and %d in %d commits", whole[0].Number, whole[1].Number, commits)
	}
	for step := 1; step <= commits; step++ {
		for _, row := range []faultRow{{fails: step}, {dies: step}} {
			w.advance(2 * time.Second)
			kept := w.both()
			w.faults.Before, w.faults.After = row.hooks()
			err := publish()
			w.faults.Before, w.faults.After = nil, nil
			if now := w.both(); err == nil || now != kept {
				t.Errorf("%+v: %v; lists %d and %d took the place of %d", row, err, now[0].Number, now[1].Number, kept[0].Number)
			}
			must(t, publish())
			if now := w.both(); now[0].Number <= kept[0].Number || now[1].Number != now[0].Number || now[0].Size != whole[0].Size {
				t.Errorf("%+v: after the next start lists %+v", row, now)
			}
		}
	}
	kept := w.both()
	w.faults.Before, w.faults.After = faultRow{lost: commits, dies: commits + 1}.hooks() // announced, and nobody heard
	_ = publish()
	w.faults.Before, w.faults.After = nil, nil
	if now := w.both(); now[0].Number <= kept[0].Number || now[1].Number != now[0].Number {
		t.Errorf("after a lost answer lists %d and %d", now[0].Number, now[1].Number)
	}
	w.nothingLeftBehind()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// both are a shard's list and its delta, both whole.
func (w *world) both() (lists [2]certs.ListPublished) {
	w.Helper()
	_, complete := w.named(ca.Services, certs.ShardList(5))
	lists[0] = complete.List
	w.read(func(tx *ledger.Tx) error {
		s, err := register.LastList(tx, complete.Issuer, certs.ListName{Shard: 5, Delta: true})
		lists[1] = s.List
		return err
	})
	if lists[1].Number > 0 {
		w.named(ca.Services, certs.ListName{Shard: 5, Delta: true})
	}
	return lists
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
	const life = 7 * 24 * time.Hour
	for _, step := range []struct {
		by    time.Duration
		alarm bool // lists are dated in the future
	}{{-30 * time.Second, false}, {-time.Hour, true}, {0, true}, {2 * time.Hour, false}, {48 * time.Hour, false}, {-47 * time.Hour, true}, {0, true}, {46 * time.Hour, true}, {2 * time.Hour, false}} {
		w.advance(step.by)
		list, err := w.authority.PublishList(t.Context(), one.Issuer, certs.ShardList(one.Shard))
		if err != nil {
			t.Fatalf("after a step of %s: %v", step.by, err)
		}
		if list.Number <= last.Number || list.ThisUpdate.Before(last.ThisUpdate) || list.NextUpdate.Sub(list.ThisUpdate) != life {
			t.Errorf("after a step of %s: list %d of %s to %s after %d of %s", step.by, list.Number, list.ThisUpdate, list.NextUpdate, last.Number, last.ThisUpdate)
		}
		if listed := w.list(one.Issuer, one.Shard); !listed.ThisUpdate.Equal(list.ThisUpdate) || listed.Number.Uint64() != list.Number {
			t.Errorf("after a step of %s: the list itself says %s and %s", step.by, listed.ThisUpdate, listed.Number)
		}
		if w.alarmed("clock") != step.alarm {
			t.Errorf("after a step of %s, with a list of %s: alarm %t", step.by, list.ThisUpdate, !step.alarm)
		}
		last = list
	}
	w.advance(-time.Hour)
	w.setStatus(certs.Held(), one.Ref) // while the clock is behind the ledger's time
	w.publish(&ca.Publisher{Authority: w.authority})
	w.waitFor("the list", func() bool { return w.shard(one.Issuer, one.Shard).List.Number > last.Number })
}

func (w *world) alarmed(kind string) bool {
	w.Helper()
	alarms, err := w.authority.Alarms(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return slices.ContainsFunc(alarms, func(a ca.Alarm) bool { return a.Kind == kind })
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
