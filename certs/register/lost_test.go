package register_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

func (w *world) lost(shard uint16) register.Lost {
	p := w.promise(shard, "")
	return register.Lost{Ref: p.Ref, Shard: shard, NotAfter: begin.Truncate(24*time.Hour).AddDate(3, 0, 0)}
}

func TestReclaimedCertificateIsRevokedAndListedAndNeverDelivered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.lost(1), w.lost(1)
	b.Reason, b.Invalidity = certs.ReasonKeyCompromise, begin.Add(-time.Hour)
	w.must(func(tx *ledger.Tx) error { return register.Reclaim(tx, a, b) })
	w.read(func(tx *ledger.Tx) error {
		for _, l := range []register.Lost{a, b} {
			c, err := register.CertificateOf(tx, l.Ref)
			if err != nil || !c.Spoiled || c.DER != nil || c.Digest != (journal.Hash{}) || c.Why == "" || !c.NotAfter.Equal(l.NotAfter) {
				t.Errorf("certificate %+v, %v", c, err)
			}
			want := certs.Status{State: certs.StateRevoked, Reason: l.Reason, At: begin.Truncate(time.Second), Invalidity: l.Invalidity.Truncate(time.Second)}
			if !c.Status.Equal(want) {
				t.Errorf("status %+v, want %+v", c.Status, want)
			}
		}
		shard, err := register.LastList(tx, w.issuer, certs.ShardList(1))
		if err != nil || shard.Changes != 2 {
			t.Errorf("shard %+v, %v", shard, err)
		}
		n, err := register.SettledUpTo(tx, begin)
		before, err2 := register.SettledUpTo(tx, begin.Add(-time.Second))
		if n != 2 || before != 0 || err != nil || err2 != nil {
			t.Errorf("settled %d, before %d, %v, %v", n, before, err, err2)
		}
		return nil
	})
	listed, want := w.revoked(1), []certs.Serial{a.Serial, b.Serial}
	slices.Sort(want)
	if !slices.Equal(listed, want) {
		t.Errorf("listed %v, want %v", listed, want)
	}
	recorded, statuses := w.changes()
	if len(recorded) != 1 || len(recorded[0].Certificates) != 2 || recorded[0].Certificates[0].Digest != (journal.Hash{}) || len(statuses) != 2 {
		t.Errorf("announced %+v and %+v", recorded, statuses)
	}
}

func TestReclaimSpoilsAReservationAndRefusesWhatIsOnRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	open, known := w.promise(2, "card-1"), w.issue(0, "card-2")
	w.must(func(tx *ledger.Tx) error { return register.Reserve(tx, open.Intent) })
	lost := register.Lost{Ref: open.Ref, Shard: 2, NotAfter: open.certificate.NotAfter, Reason: certs.ReasonKeyCompromise}
	w.must(func(tx *ledger.Tx) error { return register.Reclaim(tx, lost) })
	w.read(func(tx *ledger.Tx) error {
		c, err := register.CertificateOf(tx, open.Ref)
		if err != nil || !c.Spoiled || c.Card != "card-1" || c.Status.State != certs.StateRevoked || c.Status.Reason != certs.ReasonKeyCompromise {
			t.Errorf("the reserved one: %+v, %v", c, err)
		}
		intents, err := register.OpenIntents(tx)
		if err != nil || len(intents) != 0 {
			t.Errorf("open intents %+v, %v", intents, err)
		}
		return nil
	})
	fresh, far, foreign, odd := w.lost(0), w.lost(4), w.lost(0), w.lost(0)
	foreign.Issuer = certs.IssuerID{9}
	odd.Reason = certs.ReasonRemoveFromCRL
	for _, c := range []struct {
		lost register.Lost
		want error
	}{
		{register.Lost{Ref: known.Ref, NotAfter: begin}, register.ErrSerialTaken},
		{lost, register.ErrSerialTaken},
		{far, register.ErrUnknownShard},
		{foreign, register.ErrUnknownIssuer},
		{odd, certs.ErrReason},
	} {
		err := w.write(func(tx *ledger.Tx) error { return register.Reclaim(tx, fresh, c.lost) })
		if !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.lost, err, c.want)
		}
	}
	w.read(func(tx *ledger.Tx) error {
		if _, err := register.StatusOf(tx, fresh.Ref); !errors.Is(err, register.ErrUnknownSerial) {
			t.Errorf("a refused call left something: %v", err)
		}
		if s, err := register.StatusOf(tx, known.Ref); err != nil || s.State != certs.StateGood {
			t.Errorf("the known one: %+v, %v", s, err)
		}
		return nil
	})
}
