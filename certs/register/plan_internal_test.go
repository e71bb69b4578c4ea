package register

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cardinal/internal/ledger"
)

// TestWhatChangedIsFoundByItsTime: with millions of statuses it is half a second
// otherwise, for each list.
func TestWhatChangedIsFoundByItsTime(t *testing.T) {
	t.Parallel()
	l, err := ledger.Create(t.Context(), ledger.Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "ledger.db"), Rooms: []ledger.Room{Room()}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	shard := uint16(3)
	for _, of := range []*uint16{nil, &shard} {
		w := &walking{shard: of, since: time.Now(), changed: true}
		for query, index := range map[string]string{rowsWalked: "certs_status_changed", runColumns: "certs_status_run_changed"} {
			last := map[string]string{rowsWalked: "serial", runColumns: "lowest"}[query]
			text, args := w.where("not_after", 1)
			plan := explained(t, l, query+text+w.order()+last, args...)
			if !strings.Contains(plan, "USING INDEX "+index) {
				t.Errorf("shard %v: %s", of, plan)
			}
		}
	}
}

// explained is how SQLite would answer a query.
func explained(t *testing.T, l *ledger.Ledger, query string, args ...any) (plan string) {
	t.Helper()
	err := l.Read(t.Context(), func(tx *ledger.Tx) error {
		rows, err := tx.Query(`EXPLAIN QUERY PLAN `+query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, parent, unused int64
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				return err
			}
			plan += step + "; "
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}
