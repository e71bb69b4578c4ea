package ca_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
)

// publish runs a publisher until the test ends, and the ledger's heartbeat.
func (w *world) publish(p *ca.Publisher) {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.Run(ctx); err != nil {
			w.Error(err)
		}
	})
	w.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

// waitFor polls until the condition holds, a minute at most.
func (w *world) waitFor(what string, condition func() bool) {
	w.Helper()
	for range 3000 {
		if condition() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	w.Fatalf("waited in vain for %s", what)
}

func (w *world) shard(issuer string, shard uint16) (s register.Shard) {
	w.Helper()
	w.read(func(tx *ledger.Tx) (err error) {
		s, err = register.LastList(tx, certs.IssuerIDOf(w.hierarchy.Issuers[issuer].Certificate), certs.ShardList(shard))
		return err
	})
	return s
}

func TestPublisherListsARevocationAndTouchesNoOtherShard(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := newWorld(t)
	issued := w.issue(w.pair("900000000017", "card-1"))
	one := issued[0]
	before := w.shard(one.Issuer, one.Shard)
	other := w.shard(one.Issuer, (one.Shard+1)%ca.Shards)
	w.publish(&ca.Publisher{Authority: w.authority})
	w.setStatus(certs.Revoked(certs.ReasonKeyCompromise), one.Ref)
	w.waitFor("the list", func() bool { return w.shard(one.Issuer, one.Shard).List.Number > before.List.Number })
	list := w.list(one.Issuer, one.Shard)
	if len(list.RevokedCertificateEntries) != 1 || list.RevokedCertificateEntries[0].ReasonCode != int(certs.ReasonKeyCompromise) ||
		list.RevokedCertificateEntries[0].SerialNumber.Cmp(one.Serial.Big()) != 0 {
		t.Errorf("entries %+v", list.RevokedCertificateEntries)
	}
	if now := w.shard(one.Issuer, (one.Shard+1)%ca.Shards); now.List.Number != other.List.Number {
		t.Errorf("an untouched shard went from list %d to %d", other.List.Number, now.List.Number)
	}
}

func TestPublisherRenewsEveryListOnceAnHourButTheRoots(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := newWorld(t)
	root := w.shard(ca.Root, 0).List.Number
	w.publish(&ca.Publisher{Authority: w.authority})
	w.advance(time.Hour + time.Second)
	if err := w.ledger.Heartbeat(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range ca.Names()[1:] {
		for shard := range uint16(ca.Shards) {
			w.waitFor("the hourly lists", func() bool { return w.Now().Sub(w.shard(name, shard).List.ThisUpdate) < 2*time.Second })
		}
	}
	if now := w.shard(ca.Root, 0).List.Number; now != root {
		t.Errorf("the root's list went from %d to %d", root, now)
	}
}

func TestPublisherGathersChangesWithinItsDebounce(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := newWorld(t)
	var refs []certs.Ref
	var first ca.Issued
	for len(refs) < 5 { // five certificates of one shard
		one := w.issue(w.pair("900000000017", time.Now().String()))[0]
		if len(refs) == 0 {
			first = one
		}
		if one.Shard == first.Shard {
			refs = append(refs, one.Ref)
		}
	}
	before := w.changesOf(first)
	w.publish(&ca.Publisher{Authority: w.with(ca.ListPolicy{Debounce: time.Second})})
	for _, ref := range refs {
		w.setStatus(certs.Revoked(certs.ReasonSuperseded), ref)
	}
	w.waitFor("all five", func() bool {
		s := w.shard(first.Issuer, first.Shard)
		return s.Listed == s.Changes && s.Changes == before+5
	})
	if list := w.list(first.Issuer, first.Shard); len(list.RevokedCertificateEntries) != 5 {
		t.Errorf("%d entries", len(list.RevokedCertificateEntries))
	}
}

func (w *world) changesOf(one ca.Issued) uint64 { return w.shard(one.Issuer, one.Shard).Changes }

func TestListsMadeAtOnceKeepTheirNumbersRising(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := w.authority.PublishList(t.Context(), ca.Signing, certs.ShardList(3)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	changes, err := w.ledger.Feed().Read(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	last := map[uint16]uint64{}
	signing := certs.IssuerIDOf(w.hierarchy.Issuers[ca.Signing].Certificate)
	for _, c := range changes {
		list, err := certs.ParseListPublished(c.Body)
		if err != nil || list.Issuer != signing || list.Kind != certs.ListShard {
			continue
		}
		if list.Number <= last[list.Shard] {
			t.Errorf("list %d of shard %d after %d", list.Number, list.Shard, last[list.Shard])
		}
		last[list.Shard] = list.Number
	}
	if len(last) != ca.Shards {
		t.Errorf("%d shards were published", len(last))
	}
}
