package register_test

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
	"cardinal/internal/ledger/pgtest"
)

// TestHistoriesEndTheSameOnPostgreSQL leaves out in which second a status
// began: that database has its own clock.
func TestHistoriesEndTheSameOnPostgreSQL(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := (&world{TB: t, now: time.Now()}).openWith(pgtest.URL(t), nil)
	second := regexp.MustCompile(` -?[0-9]+`)
	for _, h := range histories {
		got, want := second.ReplaceAllString(w.play(h.steps), ""), second.ReplaceAllString(h.want, "")
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", h.steps, got, want)
		}
	}
}

// TestReclaimWorksOnPostgreSQL: a lost certificate and one that was reserved.
func TestReclaimWorksOnPostgreSQL(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := (&world{TB: t, now: time.Now()}).openWith(pgtest.URL(t), nil)
	gone, open := w.lost(1), w.promise(1, "card-1")
	w.must(func(tx *ledger.Tx) error { return register.Reserve(tx, open.Intent) })
	w.must(func(tx *ledger.Tx) error {
		return register.Reclaim(tx, gone, register.Lost{Ref: open.Ref, Shard: 1, NotAfter: gone.NotAfter, Reason: certs.ReasonKeyCompromise})
	})
	w.read(func(tx *ledger.Tx) error {
		s, err := register.StatusOf(tx, open.Ref)
		if err != nil || s.State != certs.StateRevoked || s.Reason != certs.ReasonKeyCompromise {
			t.Errorf("the reserved one is %+v, %v", s, err)
		}
		n, err := register.SettledUpTo(tx, tx.Time())
		if err != nil || n != 2 {
			t.Errorf("settled %d, %v", n, err)
		}
		return nil
	})
	if listed := w.revoked(1); !slices.Contains(listed, gone.Serial) {
		t.Errorf("listed %v", listed)
	}
}
