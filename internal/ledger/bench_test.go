package ledger_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/internal/ledger/ledgertest"
	"cardinal/internal/ledger/pgtest"
)

// BenchmarkFsync is the floor: append 4 KiB, fsync.
func BenchmarkFsync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "fsync"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	for b.Loop() {
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "fsyncs/s")
}

// BenchmarkWrite counts acknowledged writes, each a row of a room and a change of 200 bytes. A commit is one fsync of the
// log, on both engines. "reading" looks its row up
// first, as most writes of a room do.
func BenchmarkWrite(b *testing.B) {
	engines := map[string]func(testing.TB) string{"sqlite": ledgertest.SQLite().URL, "postgres": pgtest.URL}
	for _, engine := range []string{"sqlite", "postgres"} {
		for _, writers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/%d", engine, writers), func(b *testing.B) {
				measure(b, engines[engine](b), writers, put)
			})
		}
		b.Run(engine+"/64/reading", func(b *testing.B) { measure(b, engines[engine](b), 64, lookUpAndPut) })
	}
}

func put(tx *ledger.Tx, i int64, body []byte) error {
	tx.Defer(`INSERT INTO suite_item (id, name, data) VALUES ($1, $2, $3)`, i, "somebody's name", body)
	tx.Append(journal.KindEntryAdded, 1, body)
	return nil
}

func lookUpAndPut(tx *ledger.Tx, i int64, body []byte) error {
	var n int
	if err := tx.QueryRow(`SELECT count(*) FROM suite_item WHERE id = $1`, i).Scan(&n); err != nil || n != 0 {
		return fmt.Errorf("item %d: %d rows: %w", i, n, err)
	}
	return put(tx, i, body)
}

func measure(b *testing.B, url string, writers int, fn func(tx *ledger.Tx, i int64, body []byte) error) {
	var commits atomic.Int64
	l, err := ledger.Create(b.Context(), ledger.Options{URL: url, Rooms: ledgertest.Rooms(), Faults: &ledger.Faults{
		After: func(step string) error {
			if step == "commit" {
				commits.Add(1)
			}
			return nil
		}}})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	body := make([]byte, 200)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range writers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if _, err := l.Write(context.Background(), func(tx *ledger.Tx) error { return fn(tx, i, body) }); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
	b.ReportMetric(float64(b.N)/float64(commits.Load()), "writes/commit")
}
