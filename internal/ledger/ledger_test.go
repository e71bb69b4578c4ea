package ledger_test

import (
	"os"
	"testing"

	"cardinal/internal/ledger/ledgertest"
	"cardinal/internal/ledger/pgtest"
)

func TestMain(m *testing.M) {
	ledgertest.Child()
	os.Exit(m.Run())
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	ledgertest.Run(t, ledgertest.SQLite())
}

func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	pgtest.URL(t) // skips all at once
	ledgertest.Run(t, ledgertest.Engine{URL: pgtest.URL})
}
