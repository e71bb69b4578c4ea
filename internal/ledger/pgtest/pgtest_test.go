package pgtest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"cardinal/internal/ledger/pgtest"
)

func TestURLIsADatabaseThatSyncs(t *testing.T) {
	c, err := pgx.Connect(t.Context(), pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	var fsync, tables string
	if err := c.QueryRow(t.Context(), `SELECT current_setting('fsync'), (SELECT count(*)::text FROM pg_tables WHERE schemaname = current_schema())`).
		Scan(&fsync, &tables); err != nil {
		t.Fatal(err)
	}
	if fsync != "on" || tables != "0" {
		t.Errorf("fsync is %s, %s tables", fsync, tables)
	}
}
