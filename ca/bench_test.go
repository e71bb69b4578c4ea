package ca_test

import (
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// BenchmarkPairs issues pairs whose keys were made before, by many desks at
// once; it reports pairs a second and what one costs.
func BenchmarkPairs(b *testing.B) {
	for _, desks := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(desks), func(b *testing.B) { issuePairs(b, desks) })
	}
}

func issuePairs(b *testing.B, desks int) {
	w := newWorld(b)
	orders := make([][]ca.Order, b.N)
	for i := range orders {
		orders[i] = w.pair(fmt.Sprint(900000000000+i), fmt.Sprint("card ", i))
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	before := cpu(b)
	b.ResetTimer()
	for range desks {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				if _, _, err := w.authority.Issue(b.Context(), orders[i], nil); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pairs/s")
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/pair")
}

// cpu is the processor time this process has used: what a loaded machine does
// not blur.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPublish100k publishes a shard with 100,000 entries out of the
// ledger: two walks, the content in pieces, the guard's reading back.
func BenchmarkPublish100k(b *testing.B) {
	w := newWorld(b)
	w.revokedInBulk(ca.Signing, 100_000, "\x03")
	var list certs.ListPublished
	before := cpu(b)
	for b.Loop() {
		var err error
		if list, err = w.authority.PublishList(b.Context(), ca.Signing, certs.ShardList(3)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu(b)-before).Milliseconds())/float64(b.N), "cpu-ms")
	b.ReportMetric(float64(list.Size), "octets")
}

// BenchmarkPublishAgain100k publishes it as the publisher does after another
// certificate was revoked.
func BenchmarkPublishAgain100k(b *testing.B) {
	w := newWorld(b)
	w.revokedInBulk(ca.Signing, 100_000, "\x03")
	again := func() {
		w.advance(11 * time.Second)
		w.revokedInBulk(ca.Signing, 1, "\x03")
		if _, err := w.authority.PublishAgain(b.Context(), ca.Signing, certs.ShardList(3)); err != nil {
			b.Fatal(err)
		}
	}
	again()
	before := cpu(b)
	for b.Loop() {
		again()
	}
	b.ReportMetric(float64((cpu(b)-before).Milliseconds())/float64(b.N), "cpu-ms")
}

// BenchmarkPublishFirst100k publishes it as the publisher does after a start
// while many lists lack a card: of the list that was published before.
func BenchmarkPublishFirst100k(b *testing.B) {
	w := newWorld(b)
	w.revokedInBulk(ca.Signing, 100_000, "\x03")
	w.must(w.authority, ca.Signing, certs.ShardList(3))
	before := cpu(b)
	for b.Loop() {
		w.advance(2 * time.Minute)
		w.revokedInBulk(ca.Signing, 1, "\x03")
		if _, err := w.with(ca.ListPolicy{}).PublishHurried(b.Context(), ca.Signing, certs.ShardList(3)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu(b)-before).Milliseconds())/float64(b.N), "cpu-ms")
}

// revokedInBulk writes revoked certificates down without making them, whose
// serials end in an octet.
func (w *world) revokedInBulk(issuer string, n int, last certs.Serial) {
	w.Helper()
	id := certs.IssuerIDOf(w.hierarchy.Issuers[issuer].Certificate)
	const block = 1000
	for ; n > 0; n -= block {
		w.write(func(tx *ledger.Tx) error {
			for range min(n, block) {
				serial, err := certs.NewSerial(time.Now(), rand.Reader)
				if err != nil {
					return err
				}
				serial = serial[:len(serial)-1] + last
				tx.Defer(`INSERT INTO certs_serial (issuer, serial, state, profile, holder, card, request, shard, key_digest, policy,
					tbs_hash, not_before, not_after, reserved, why)
					VALUES ($1, $2, 1, 'signature', '900000000017', $3, '', $7, $4, $4, $4, $5, $6, $5, '')`,
					journal.Hash(id), []byte(serial), serial.Hex(), []byte(serial), tx.Time(), tx.Time().AddDate(3, 0, 0), ca.ShardOf(serial, ca.Shards))
				tx.Defer(`INSERT INTO certs_status (issuer, shard, serial, status, reason, revoked, not_after, changed)
					VALUES ((SELECT number FROM certs_issuer WHERE id = $1), $2, $3, 2, 4, $4, $5, $4)`,
					journal.Hash(id), ca.ShardOf(serial, ca.Shards), []byte(serial), tx.Time(), tx.Time().AddDate(3, 0, 0))
			}
			return nil
		})
	}
}
