package ledger_test

import (
	"path/filepath"
	"testing"

	"cardinal/internal/journal"
	"cardinal/internal/journal/feedtest"
	"cardinal/internal/ledger"
)

func open(t *testing.T, o ledger.Options) *ledger.Ledger {
	t.Helper()
	if o.URL == "" {
		o.URL = "sqlite:" + filepath.Join(t.TempDir(), "ledger.db")
	}
	l, err := ledger.Create(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func writerOf(t *testing.T, l *ledger.Ledger) feedtest.Writer {
	return feedtest.Writer{
		Append: func(kind journal.Kind, version uint8, bodies ...[]byte) (journal.Position, error) {
			return l.Write(t.Context(), func(tx *ledger.Tx) error {
				for _, b := range bodies {
					tx.Append(kind, version, b)
				}
				return nil
			})
		},
		PutContent: func(data []byte) (h journal.Hash, err error) {
			_, err = l.Write(t.Context(), func(tx *ledger.Tx) error {
				h, err = tx.PutContent(data)
				return err
			})
			return h, err
		},
		Beat: func() error { return l.Heartbeat(t.Context()) },
	}
}

func TestFeedOverSQLite(t *testing.T) {
	feedtest.Run(t, func(t *testing.T) (journal.Feed, feedtest.Writer) {
		l := open(t, ledger.Options{})
		return l.Feed(), writerOf(t, l)
	})
}
