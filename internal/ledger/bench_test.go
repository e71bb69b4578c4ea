package ledger_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/internal/ledger/pgtest"
)

func benchRoom() ledger.Room {
	return ledger.Room{Name: "bench", Migrations: []string{`CREATE TABLE bench (id BIGINT PRIMARY KEY, name TEXT NOT NULL, data BYTEA NOT NULL);`}}
}

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

// BenchmarkWrite counts acknowledged writes, each a row of a room and a change of 200 bytes.
func BenchmarkWrite(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		for _, writers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/%d", engine, writers), func(b *testing.B) { benchmarkWrite(b, engine, writers) })
		}
	}
}

func benchmarkWrite(b *testing.B, engine string, writers int) {
	url := "sqlite:" + filepath.Join(b.TempDir(), "ledger.db")
	if engine == "postgres" {
		url = pgtest.URL(b)
	}
	var commits atomic.Int64
	l, err := ledger.Create(b.Context(), ledger.Options{URL: url, Rooms: []ledger.Room{benchRoom()}, Faults: &ledger.Faults{
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
	var next atomic.Int64
	body := make([]byte, 200)
	b.ResetTimer()
	began := time.Now()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if _, err := l.Write(context.Background(), func(tx *ledger.Tx) error {
					tx.Defer(`INSERT INTO bench (id, name, data) VALUES ($1, $2, $3)`, i, "somebody's name", body)
					tx.Append(journal.KindEntryAdded, 1, body)
					return nil
				}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "writes/s")
	b.ReportMetric(float64(b.N)/float64(commits.Load()), "writes/commit")
}
