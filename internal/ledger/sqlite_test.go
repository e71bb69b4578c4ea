package ledger_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/internal/ledger/ledgertest"
)

func TestTimeNeverGoesBackOnSQLite(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 123456789, time.UTC)
	l, err := ledger.Create(t.Context(), ledger.Options{URL: ledgertest.SQLite().URL(t), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var times []time.Time
	for _, step := range []time.Duration{0, -time.Hour, time.Second, -time.Nanosecond} {
		now = now.Add(step)
		if _, err := l.Write(t.Context(), func(tx *ledger.Tx) error {
			times = append(times, tx.Time())
			tx.Append(journal.KindEntryAdded, 1, nil)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for i, at := range times {
		if at.Nanosecond()%1000 != 0 || (i > 0 && at.Before(times[i-1])) {
			t.Errorf("times %v", times)
		}
	}
	if _, err := journal.VerifyChain(t.Context(), l.Feed()); err != nil {
		t.Error(err)
	}
}

// fill writes until the ledger refuses, and returns how many writes were acknowledged.
func fill(t *testing.T, l *ledger.Ledger) (int, error) {
	t.Helper()
	body := bytes.Repeat([]byte("x"), 60000)
	for n := range 1000 {
		if _, err := l.Write(t.Context(), func(tx *ledger.Tx) error {
			tx.Append(journal.KindEntryAdded, 1, body)
			tx.Defer(`INSERT INTO suite_item (id, name, data) VALUES ($1, 'x', $2)`, n, body)
			return nil
		}); err != nil {
			return n, err
		}
	}
	return 1000, nil
}

func checkFull(t *testing.T, l *ledger.Ledger, room func()) {
	t.Helper()
	n, err := fill(t, l)
	if !errors.Is(err, ledger.ErrFull) || n == 0 {
		t.Fatalf("after %d writes: %v", n, err)
	}
	head, err := journal.VerifyChain(t.Context(), l.Feed())
	if err != nil || head.Position != journal.Position(n) {
		t.Errorf("%d acknowledged, the head stands at %d: %v", n, head.Position, err)
	}
	room()
	if p, err := l.Write(t.Context(), func(tx *ledger.Tx) error {
		tx.Append(journal.KindEntryAdded, 1, []byte("after"))
		return nil
	}); err != nil || p != head.Position+1 {
		t.Errorf("with room again: position %d: %v", p, err)
	}
}

func TestFullDiskIsSaidAndRecoveredFrom(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=3m"); err != nil {
		t.Logf("no tmpfs without root (%v): the limit on pages in TestPageLimit stands for it", err)
		return
	}
	t.Cleanup(func() { syscall.Unmount(folder, syscall.MNT_DETACH) })
	ballast := filepath.Join(folder, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Create(t.Context(), ledger.Options{URL: "sqlite:" + filepath.Join(folder, "ledger.db"), Rooms: ledgertest.Rooms()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	checkFull(t, l, func() { os.Remove(ballast) })
}

func TestPageLimitIsAFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	l, err := ledger.Create(t.Context(), ledger.Options{URL: ledgertest.SQLite().URL(t), Rooms: ledgertest.Rooms()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	limit := func(pages string) {
		if _, err := l.Write(t.Context(), func(tx *ledger.Tx) error {
			return tx.QueryRow("PRAGMA max_page_count = " + pages).Scan(new(int))
		}); err != nil {
			t.Fatal(err)
		}
	}
	limit("200")
	checkFull(t, l, func() { limit("1000000") })
}

func TestSQLiteFilesAreTheOwnersAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "with ? # % signs.db")
	l, err := ledger.Create(t.Context(), ledger.Options{URL: "sqlite:" + path})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Heartbeat(t.Context()); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil || len(files) != 3 {
		t.Fatalf("files %v: %v", files, err)
	}
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != 0o600 || !strings.HasPrefix(filepath.Base(name), "with ? # % signs.db") {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestForeignURLIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := ledger.Open(t.Context(), ledger.Options{URL: "mysql://user:secret@host/db"}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}
