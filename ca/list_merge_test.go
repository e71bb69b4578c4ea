package ca_test

import (
	"bytes"
	"testing"
	"time"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
)

// again publishes a list as the publisher does, some seconds after what was
// before, and says whether it was made of the list before.
func (w *world) again(issuer string, which certs.ListName) (merged bool) {
	w.Helper()
	w.advance(11 * time.Second)
	before := w.authority.RowsRead(issuer, which)
	if _, err := w.authority.PublishAgain(w.Context(), issuer, which); err != nil {
		w.Fatal(err)
	}
	return !before.IsZero() && w.authority.RowsRead(issuer, which).Equal(before)
}

// entriesOf is what a published list has between its head and its extensions.
func (w *world) entriesOf(issuer string, which certs.ListName) []byte {
	w.Helper()
	list, _ := w.named(issuer, which)
	_, s := w.named(issuer, which)
	if int64(len(list.RevokedCertificateEntries)) != s.Entries {
		w.Errorf("%d entries are said to be %d", len(list.RevokedCertificateEntries), s.Entries)
	}
	var all []byte
	for _, e := range list.RevokedCertificateEntries {
		all = append(all, e.Raw...)
	}
	return all
}

// inShard issues until there are n certificates of the signing CA in one shard.
func (w *world) inShard(n int) (refs []certs.Ref, shard uint16) {
	w.Helper()
	for len(refs) < n {
		one := w.issue(w.pair("900000000017", time.Now().String()))[1]
		if len(refs) == 0 {
			shard = one.Shard
		}
		if one.Shard == shard {
			refs = append(refs, one.Ref)
		}
	}
	return refs, shard
}

func TestListMadeOfTheOneBeforeIsThatOfTheRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	refs, n := w.inShard(2)
	shard := certs.ShardList(n)
	w.revokedInBulk(ca.Signing, 1_500, certs.Serial([]byte{byte(n)}))
	w.setStatus(certs.Held(), refs[0])
	if w.again(ca.Signing, shard) {
		t.Fatal("the first was not made of rows")
	}
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"one released, another held", func() {
			w.write(func(tx *ledger.Tx) error { return register.Release(tx, refs[:1]) })
			w.setStatus(certs.Held(), refs[1])
		}},
		{"both revoked", func() { w.setStatus(certs.Revoked(certs.ReasonKeyCompromise), refs...) }},
		{"others revoked", func() { w.revokedInBulk(ca.Signing, 3, certs.Serial([]byte{byte(n)})) }},
		{"nothing", func() {}},
	} {
		w.advance(time.Second)
		step.do()
		if !w.again(ca.Signing, shard) {
			t.Errorf("%s: it was made of rows", step.name)
		}
		merged := w.entriesOf(ca.Signing, shard)
		w.advance(11 * time.Second)
		w.authority.ForgetLists()
		if w.again(ca.Signing, shard) {
			t.Errorf("%s: it was made of the one before", step.name)
		}
		if rows := w.entriesOf(ca.Signing, shard); !bytes.Equal(merged, rows) {
			t.Errorf("%s: the rows give another list", step.name)
		}
	}
}

func TestListIsMadeOfTheRowsWhereTheOneBeforeDoesNotServe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shard := certs.ShardList(5)
	w.revokedInBulk(ca.Services, 1_500, "\x05")
	w.again(ca.Services, shard)
	w.must(w.with(ca.ListPolicy{}), ca.Services, shard)
	if w.again(ca.Services, shard) {
		t.Error("another process made the one before")
	}
	for range 2 {
		if w.again(ca.Services, certs.ShardList(6)) {
			t.Error("it is empty, and was made of the one before")
		}
	}
	late := w.with(ca.ListPolicy{Interval: time.Nanosecond})
	for range 2 {
		w.advance(11 * time.Second)
		before := late.RowsRead(ca.Services, shard)
		if _, err := late.PublishAgain(t.Context(), ca.Services, shard); err != nil {
			t.Fatal(err)
		}
		if late.RowsRead(ca.Services, shard).Equal(before) {
			t.Error("an interval has passed, and it was made of the one before")
		}
	}
}

// firstAgain says whether a process that just began made a list of what an earlier
// one had published.
func (w *world) firstAgain(a *ca.Authority, issuer string, which certs.ListName) (merged bool) {
	w.Helper()
	w.advance(11 * time.Second)
	if _, err := a.PublishAgain(w.Context(), issuer, which); err != nil {
		w.Fatal(err)
	}
	return a.RowsRead(issuer, which).Equal(a.Begun())
}

func TestFirstListAfterAStartIsMadeOfOneThatHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shard := certs.ShardList(5)
	w.revokedInBulk(ca.Services, 1_500, "\x05")
	w.again(ca.Services, shard)
	w.advance(time.Second)
	w.revokedInBulk(ca.Services, 3, "\x05")
	begun := w.with(ca.ListPolicy{})
	if !w.firstAgain(begun, ca.Services, shard) {
		t.Error("it was made of rows")
	}
	merged := w.entriesOf(ca.Services, shard)
	w.must(w.with(ca.ListPolicy{}), ca.Services, shard)
	if rows := w.entriesOf(ca.Services, shard); !bytes.Equal(merged, rows) {
		t.Error("the rows give another list")
	}
	if w.firstAgain(begun, ca.Services, shard) {
		t.Error("another process made the one before, beside this one")
	}
	if w.firstAgain(w.with(ca.ListPolicy{Interval: time.Nanosecond}), ca.Services, shard) {
		t.Error("an interval has passed since the start")
	}
	w.write(func(tx *ledger.Tx) error {
		_, err := tx.Exec(`UPDATE certs_published SET entries = entries - 1`)
		return err
	})
	if w.firstAgain(w.with(ca.ListPolicy{}), ca.Services, shard) {
		t.Error("the one before has more entries than were written down")
	}
	w.public = "http://elsewhere.example"
	if w.firstAgain(w.with(ca.ListPolicy{}), ca.Services, shard) {
		t.Error("the one before names another URL")
	}
}

func TestHurriedLongListIsPackedOnceItStands(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shard := certs.ShardList(5)
	w.revokedInBulk(ca.Services, 7_000, "\x05")
	w.again(ca.Services, shard)
	if _, s := w.named(ca.Services, shard); s.List.PackedSize != 0 {
		t.Fatal("it was packed although the one before was made just now")
	}
	w.advance(time.Minute)
	w.again(ca.Services, shard)
	if _, s := w.named(ca.Services, shard); s.List.PackedSize == 0 {
		t.Fatal("it was not packed although the one before is old")
	}
	w.advance(time.Minute)
	if _, err := w.authority.PublishHurried(t.Context(), ca.Services, shard); err != nil {
		t.Fatal(err)
	}
	if _, s := w.named(ca.Services, shard); s.List.PackedSize != 0 {
		t.Fatal("it was packed although others wait behind it")
	}
}
