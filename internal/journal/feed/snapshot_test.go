package feed_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"cardinal/internal/journal"
	"cardinal/internal/journal/feed"
)

func sampleSnapshot() feed.Snapshot {
	return feed.Snapshot{Epoch: 2, Position: 7, Link: journal.Hash{1}, Time: time.UnixMicro(1e15).UTC(), Kept: 1,
		Buckets: []feed.SnapshotBucket{{Name: "directory", Layout: 4, Digest: journal.Hash{2}}},
		Parts:   []feed.SnapshotPart{{Hash: journal.Hash{3}, Size: 10, Raw: 20}, {Hash: journal.Hash{4}, Size: 1, Raw: 2}}}
}

func TestASnapshotIsBelievedOnlyOfTheWriter(t *testing.T) {
	t.Parallel()
	authority, key := newAuthority(t)
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	writer, node := leaf(t, authority, key, x509.ExtKeyUsageServerAuth), leaf(t, authority, key, x509.ExtKeyUsageClientAuth)
	other, otherKey := newAuthority(t)
	stranger := leaf(t, other, otherKey, x509.ExtKeyUsageServerAuth)
	s := sampleSnapshot()
	sign := func(with tls.Certificate) []byte {
		raw, err := s.Sign(&with)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	good := sign(writer)
	read, err := feed.VerifySnapshot(good, roots, "127.0.0.1", time.Now())
	if err != nil || read.Position != s.Position || len(read.Parts) != 2 || read.Buckets[0] != s.Buckets[0] {
		t.Errorf("read %+v: %v", read, err)
	}
	if size, raw := read.Size(); size != 11 || raw != 22 {
		t.Errorf("size %d of %d", size, raw)
	}
	for name, raw := range map[string][]byte{"a node's own": sign(node), "a stranger's": sign(stranger), "cut off": good[:len(good)-1]} {
		if _, err := feed.VerifySnapshot(raw, roots, "127.0.0.1", time.Now()); err == nil {
			t.Errorf("%s was believed", name)
		}
	}
	if _, err := feed.VerifySnapshot(good, roots, "192.0.2.1", time.Now()); err == nil {
		t.Error("one of another writer was believed")
	}
	for i := range good {
		changed := append([]byte(nil), good...)
		changed[i] ^= 1
		if got, err := feed.VerifySnapshot(changed, roots, "127.0.0.1", time.Now()); err == nil && (got.Position != s.Position || got.Parts[0] != s.Parts[0]) {
			t.Fatalf("octet %d changed: read %+v", i, got)
		}
	}
}

func TestWithoutSnapshotsThereIsNone(t *testing.T) {
	t.Parallel()
	c := newWorld(t, feed.Central).client(t)
	if _, err := c.SnapshotManifest(t.Context()); !errors.Is(err, journal.ErrNoContent) {
		t.Errorf("a manifest: %v", err)
	}
	if _, err := c.SnapshotPart(t.Context(), journal.Hash{}); !errors.Is(err, journal.ErrNoContent) {
		t.Errorf("a part: %v", err)
	}
}
