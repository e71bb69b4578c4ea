package ca_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/internal/ledger/pgtest"
	"cardinal/policies"
)

// TestPostgreSQLTakesAHistoryToo makes the hierarchy, issues, interrupts,
// recovers, revokes and publishes on the other engine.
func TestPostgreSQLTakesAHistoryToo(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := newPostgresWorld(t)
	pair := w.issue(w.pair("900000000017", "card-1"))
	w.faults.Before, w.faults.After = faultRow{dies: 2}.hooks()
	if _, _, err := w.authority.Issue(t.Context(), w.pair("900000000025", "card-2"), nil); err == nil {
		t.Fatal("an interrupted issue succeeded")
	}
	w.faults.Before, w.faults.After = nil, nil
	if err := w.authority.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.expectSpoiledPair("card-2")
	w.setStatus(certs.Held(), pair[0].Ref, pair[1].Ref)
	w.setStatus(certs.Revoked(certs.ReasonKeyCompromise), pair[0].Ref, pair[1].Ref)
	for _, one := range pair {
		if _, err := w.authority.PublishList(t.Context(), one.Issuer, certs.ShardList(one.Shard)); err != nil {
			t.Fatal(err)
		}
		found := false
		for _, e := range w.list(one.Issuer, one.Shard).RevokedCertificateEntries {
			found = found || e.SerialNumber.Cmp(one.Serial.Big()) == 0 && e.ReasonCode == int(certs.ReasonKeyCompromise)
		}
		if !found {
			t.Errorf("the %s certificate is not on its list", one.Profile)
		}
	}
}

func newPostgresWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, clock: &clock{now: time.Now()}, faults: &ledger.Faults{}, url: pgtest.URL(t), public: publicURL}
	var err error
	if w.policies, err = policies.Default(); err != nil {
		t.Fatal(err)
	}
	w.ledger, err = ledger.Create(t.Context(), ledger.Options{URL: w.url, Rooms: []ledger.Room{register.Room()}, Faults: w.faults})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.ledger.Close() })
	w.hierarchy, err = ca.InitHierarchy(t.Context(), ca.Ceremony{Ledger: w.ledger, Policies: w.policies, Name: "Example Health",
		PublicURL: publicURL, Key: makeKey})
	if err != nil {
		t.Fatal(err)
	}
	w.authority, err = ca.New(ca.Config{Ledger: w.ledger, Issuers: w.hierarchy.Issuers, Policies: w.policies, PublicURL: publicURL, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestTwoWritersOnPostgreSQLGiveOutEachNumberOnce has two processes' worth of
// writers publish the same list at once, and others beside it, while statuses
// change.
func TestTwoWritersOnPostgreSQLGiveOutEachNumberOnce(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := newPostgresWorld(t)
	pair := w.issue(w.pair("900000000017", "a"))
	one := pair[0]
	apart := (one.Shard + 1) % ca.Shards
	before := w.shard(one.Issuer, apart).List
	other := *w
	var err error
	if other.ledger, err = ledger.Open(t.Context(), ledger.Options{URL: w.url, Rooms: []ledger.Room{register.Room()}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.ledger.Close() })
	other.authority = other.with(ca.ListPolicy{})
	const each = 8
	made := make(chan certs.ListPublished, 4*each)
	var wg sync.WaitGroup
	for _, a := range []*ca.Authority{w.authority, other.authority} {
		for _, shard := range []uint16{one.Shard, (one.Shard + 2) % ca.Shards} {
			wg.Go(func() { w.publishOften(a, shard, each, made) })
		}
	}
	w.setStatus(certs.Held(), one.Ref)
	w.write(func(tx *ledger.Tx) error { return register.Release(tx, []certs.Ref{one.Ref}) })
	w.setStatus(certs.Revoked(certs.ReasonKeyCompromise), one.Ref)
	wg.Wait()
	close(made)
	given, ours := map[[2]uint64]bool{}, 0
	for list := range made {
		key := [2]uint64{uint64(list.Shard), list.Number}
		if given[key] {
			t.Errorf("number %d of shard %d was given out twice", list.Number, list.Shard)
		}
		if given[key] = true; list.Shard == one.Shard {
			ours++
		}
	}
	for shard, announced := range w.announced(one.Ref.Issuer) {
		for i := 1; i < len(announced); i++ {
			if announced[i].Number <= announced[i-1].Number || announced[i].ThisUpdate.Before(announced[i-1].ThisUpdate) {
				t.Errorf("shard %d: list %d after %d", shard, announced[i].Number, announced[i-1].Number)
			}
		}
	}
	if ours < each {
		t.Errorf("%d lists of %d", ours, 2*each)
	}
	if now := w.shard(one.Issuer, apart).List; now != before {
		t.Errorf("a shard nobody published went from list %d to %d", before.Number, now.Number)
	}
	w.must(w.authority, one.Issuer, certs.ShardList(one.Shard))
	if list := w.list(one.Issuer, one.Shard); len(list.RevokedCertificateEntries) != 1 {
		t.Errorf("in the end %d entries", len(list.RevokedCertificateEntries))
	}
}

// publishOften publishes a list again and again, and tells of each that came
// to be. One that others overtake again and again is none.
func (w *world) publishOften(a *ca.Authority, shard uint16, times int, made chan<- certs.ListPublished) {
	for range times {
		list, err := a.PublishList(w.Context(), ca.Authentication, certs.ShardList(shard))
		if err == nil {
			made <- list
		} else if !errors.Is(err, register.ErrListOvertaken) {
			w.Error(err)
		}
	}
}

// announced are the shards' lists in the order of the journal.
func (w *world) announced(issuer certs.IssuerID) map[uint16][]certs.ListPublished {
	w.Helper()
	changes, err := w.ledger.Feed().Read(w.Context(), 0, 10_000)
	if err != nil {
		w.Fatal(err)
	}
	out := map[uint16][]certs.ListPublished{}
	for _, c := range changes {
		list, err := certs.ParseListPublished(c.Body)
		if c.Kind == journal.KindListPublished && err == nil && list.Issuer == issuer && list.Kind == certs.ListShard {
			out[list.Shard] = append(out[list.Shard], list)
		}
	}
	return out
}
