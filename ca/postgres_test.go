package ca_test

import (
	"testing"
	"time"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
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
	w := &world{TB: t, clock: &clock{now: time.Now()}, faults: &ledger.Faults{}}
	var err error
	if w.policies, err = policies.Default(); err != nil {
		t.Fatal(err)
	}
	w.ledger, err = ledger.Create(t.Context(), ledger.Options{URL: pgtest.URL(t), Rooms: []ledger.Room{register.Room()}, Faults: w.faults})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.ledger.Close() })
	w.hierarchy, err = ca.InitHierarchy(t.Context(), ca.Ceremony{Ledger: w.ledger, Policies: w.policies, Name: "Example Health",
		PublicURL: publicURL, Key: makeKey})
	if err != nil {
		t.Fatal(err)
	}
	w.authority, err = ca.New(ca.Config{Ledger: w.ledger, Issuers: w.hierarchy.Issuers, Policies: w.policies, PublicURL: publicURL})
	if err != nil {
		t.Fatal(err)
	}
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
