package ca_test

import (
	"testing"
	"time"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/disktest"
	"cardinal/internal/ledger"
)

// TestFullDiskKeepsTheListBefore has a list published on a disk that is full at
// whatever point of it. The list before stays, whole; when there is room again
// the next try succeeds without a restart, and nothing is left over.
func TestFullDiskKeepsTheListBefore(t *testing.T) {
	t.Parallel()
	disk := disktest.Run(t, "80m", disktest.Temporary)
	if disk == "" {
		return
	}
	w := newWorld(t)
	w.revokedInBulk(ca.Services, 2_000, "\x05")
	w.must(w.authority, ca.Services, certs.ShardList(5))
	entries := w.shard(ca.Services, 5).Entries
	refused := 0
	for _, room := range []int64{0, 64 << 10, 1000 << 10} {
		w.reopen() // which leaves no room in the write-ahead log
		kept := w.shard(ca.Services, 5).List
		w.advance(2 * time.Second)
		remove := disktest.Fill(t, disk, room)
		_, err := w.authority.PublishList(t.Context(), ca.Services, certs.ShardList(5))
		_, now := w.named(ca.Services, certs.ShardList(5))
		switch {
		case err == nil && now.List.Number > kept.Number:
		case err != nil && now.List == kept:
			refused++
		default:
			t.Errorf("with %d octets: %v; list %d after %d", room, err, now.List.Number, kept.Number)
		}
		t.Logf("with %d octets of room: %v", room, err)
		remove()
		w.must(w.authority, ca.Services, certs.ShardList(5))
		if _, now := w.named(ca.Services, certs.ShardList(5)); now.List.Number <= kept.Number || now.Entries != entries {
			t.Errorf("with room again: list %d of %d entries after %d of %d", now.List.Number, now.Entries, kept.Number, entries)
		}
	}
	if refused < 2 {
		t.Errorf("the disk was full %d times", refused)
	}
	w.nothingLeftBehind()
}

// reopen closes the ledger and opens it again.
func (w *world) reopen() {
	w.Helper()
	if err := w.ledger.Close(); err != nil {
		w.Fatal(err)
	}
	var err error
	w.ledger, err = ledger.Open(w.Context(), ledger.Options{URL: w.url, Rooms: []ledger.Room{register.Room()}, Now: w.Now, Faults: w.faults})
	if err != nil {
		w.Fatal(err)
	}
	l := w.ledger
	w.Cleanup(func() { l.Close() })
	w.authority = w.newAuthority(w.hierarchy.Issuers)
}
