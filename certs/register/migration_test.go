package register_test

import (
	"path/filepath"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/internal/ledger/pgtest"
)

// TestStatusesOfAnOlderLedgerOutliveItsMigration: they stood in certs_serial.
func TestStatusesOfAnOlderLedgerOutliveItsMigration(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	for name, url := range map[string]string{"SQLite": "sqlite:" + filepath.Join(t.TempDir(), "ledger.db"), "PostgreSQL": pgtest.URL(t)} {
		t.Run(name, func(t *testing.T) { migrates(t, url) })
	}
}

func migrates(t *testing.T, url string) {
	now := register.Room()
	older := ledger.Options{URL: url, Rooms: []ledger.Room{{Name: now.Name, Migrations: now.Migrations[:3]}}, MaxSkew: -1}
	l, err := ledger.Create(t.Context(), older)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)
	ids := []journal.Hash{{2}, {1}} // the first is the older
	_, err = l.Write(t.Context(), func(tx *ledger.Tx) error {
		for i, id := range ids {
			tx.Defer(`INSERT INTO certs_issuer (id, name, der, shards, added) VALUES ($1, $2, $1, 4, $3)`, id, string(rune('a'+i)), i+1)
			for n, is := range []any{nil, nil, at} {
				tx.Defer(`INSERT INTO certs_serial (issuer, serial, state, profile, holder, card, request, shard, key_digest, policy, tbs_hash, not_before, not_after, reserved, settled, why,
					status, reason, revoked, invalidity, changed) VALUES ($1, $2, 1, 'signature', '', '', '', 3, $2, $2, $2, 0, $3, 0, 0, '', $4, $5, $6, $6, $7)`,
					id, []byte{byte(n + 1)}, at.Add(time.Hour), []int{0, 0, 2}[n], []int{0, 0, 4}[n], is, []any{nil, at, at}[n])
			}
		}
		return nil
	})
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	newer := ledger.Options{URL: url, Rooms: []ledger.Room{now}, MaxSkew: -1}
	if ran, err := ledger.Migrate(t.Context(), newer); err != nil || len(ran) != 1 {
		t.Fatalf("migrating ran %v: %v", ran, err)
	}
	if l, err = ledger.Open(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = l.Read(t.Context(), func(tx *ledger.Tx) error {
		for _, id := range ids {
			for n, want := range []certs.Status{{}, {}, {State: certs.StateRevoked, Reason: certs.ReasonSuperseded, At: at, Invalidity: at}} {
				c, err := register.CertificateOf(tx, certs.Ref{Issuer: certs.IssuerID(id), Serial: certs.Serial([]byte{byte(n + 1)})})
				if err != nil || !c.Status.Equal(want) || c.Changed.Equal(at) != (n > 0) {
					t.Errorf("certificate %d of issuer %x: %+v, %v", n, id[:1], c, err)
				}
			}
		}
		told := 0
		err := register.Standings(tx, func(s register.Standing) error {
			told++
			return nil
		})
		if told != 4 {
			t.Errorf("%d statuses stand there, want 4", told)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
