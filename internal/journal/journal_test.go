package journal_test

import (
	"testing"

	"cardinal/internal/journal"
	"cardinal/internal/journal/feedtest"
)

func TestMemoryIsAFeed(t *testing.T) {
	t.Parallel()
	feedtest.Run(t, func(*testing.T) (journal.Feed, feedtest.Writer) {
		m := journal.NewMemory()
		return m, feedtest.Writer{
			Append: func(k journal.Kind, v uint8, bodies ...[]byte) (journal.Position, error) {
				return m.Append(k, v, bodies...), nil
			},
			PutContent: func(data []byte) (journal.Hash, error) { return m.PutContent(data), nil },
			Beat:       func() error { m.Beat(); return nil },
		}
	})
}
