package ledger_test

import (
	"testing"

	"cardinal/internal/journal"
	"cardinal/internal/journal/feedtest"
	"cardinal/internal/ledger"
	"cardinal/internal/ledger/pgtest"
)

func TestFeedOverPostgreSQL(t *testing.T) {
	feedtest.Run(t, func(t *testing.T) (journal.Feed, feedtest.Writer) {
		l := open(t, ledger.Options{URL: pgtest.URL(t)})
		return l.Feed(), writerOf(t, l)
	})
}
