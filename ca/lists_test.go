package ca_test

import (
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
)

// named is a published list of any kind, its signature checked, and its state.
func (w *world) named(issuer string, which certs.ListName) (*x509.RevocationList, register.Shard) {
	w.Helper()
	var s register.Shard
	var der []byte
	w.read(func(tx *ledger.Tx) (err error) {
		if s, err = register.LastList(tx, certs.IssuerIDOf(w.hierarchy.Issuers[issuer].Certificate), which); err == nil {
			der, err = tx.Content(s.List.Content)
		}
		return err
	})
	list, err := x509.ParseRevocationList(der)
	if err == nil {
		err = list.CheckSignatureFrom(w.hierarchy.Issuers[issuer].Certificate)
	}
	if err != nil {
		w.Fatal(err)
	}
	return list, s
}

func extension(list *x509.RevocationList, oid string) (value []byte, critical bool) {
	for _, x := range list.Extensions {
		if x.Id.String() == oid {
			return x.Value, x.Critical
		}
	}
	return nil, false
}

func reasons(list *x509.RevocationList) map[string]int {
	out := map[string]int{}
	for _, e := range list.RevokedCertificateEntries {
		out[e.SerialNumber.String()] = e.ReasonCode
	}
	return out
}

var everyList = ca.ListPolicy{Debounce: 10 * time.Millisecond, Full: true, Delta: true}

// must publishes now, a second after what was before.
func (w *world) must(a *ca.Authority, issuer string, which certs.ListName) {
	w.Helper()
	w.advance(2 * time.Second)
	if _, err := a.PublishList(w.Context(), issuer, which); err != nil {
		w.Fatal(err)
	}
}

func TestDeltaSaysWhatChangedSinceItsBase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.with(everyList)
	full := certs.ListName{Kind: certs.ListFull}
	delta := certs.ListName{Kind: certs.ListFull, Delta: true}
	held, fleeting, gone, later := w.issue(w.pair("900000000017", "a"))[1], w.issue(w.pair("900000000017", "b"))[1], w.issue(w.pair("900000000017", "c"))[1], w.issue(w.pair("900000000017", "d"))[1]
	w.setStatus(certs.Held(), held.Ref)
	w.setStatus(certs.Revoked(certs.ReasonSuperseded), gone.Ref)
	w.must(a, ca.Signing, full) // the base: the first has no delta
	base, _ := w.named(ca.Signing, full)
	w.advance(2 * time.Second)
	w.setStatus(certs.Held(), fleeting.Ref)
	w.must(a, ca.Signing, full)
	w.setStatus(certs.Revoked(certs.ReasonKeyCompromise), later.Ref)
	w.write(func(tx *ledger.Tx) error { return register.Release(tx, []certs.Ref{held.Ref, fleeting.Ref}) })
	w.must(a, ca.Signing, full)

	list, state := w.named(ca.Signing, delta)
	complete, _ := w.named(ca.Signing, full)
	if list.Number.Cmp(complete.Number) != 0 || !list.ThisUpdate.Equal(complete.ThisUpdate) || complete.Number.Cmp(base.Number) <= 0 {
		t.Errorf("delta %s, complete %s, base %s", list.Number, complete.Number, base.Number)
	}
	var indicated *big.Int
	value, critical := extension(list, certs.OIDDeltaCRLIndicator)
	if _, err := asn1.Unmarshal(value, &indicated); err != nil || !critical || indicated.Cmp(base.Number) != 0 || state.List.Base != base.Number.Uint64() {
		t.Errorf("stands on %s, critical %t, want %s: %v", indicated, critical, base.Number, err)
	}
	want := map[string]int{later.Serial.Big().String(): 1, held.Serial.Big().String(): 8, fleeting.Serial.Big().String(): 8}
	if got := reasons(list); !maps(got, want) {
		t.Errorf("delta %v, want %v", got, want)
	}
	if got := reasons(complete); !maps(got, map[string]int{gone.Serial.Big().String(): 4, later.Serial.Big().String(): 1}) {
		t.Errorf("complete %v", got)
	}
	if where, critical := extension(complete, certs.OIDFreshestCRL); critical || !bytes.Contains(where, []byte(publicURL+"/crl/signing/full-delta.crl")) {
		t.Errorf("freshestCRL %q", where)
	}
	if where, _ := extension(list, certs.OIDFreshestCRL); where != nil {
		t.Error("a delta names a delta")
	}
	w.advance(25 * time.Hour)
	w.must(a, ca.Signing, full)
	if _, now := w.named(ca.Signing, delta); now.List.Base != complete.Number.Uint64() {
		t.Errorf("a day later it stands on %d, not on the last complete list %s", now.List.Base, complete.Number)
	}
}

func maps(a, b map[string]int) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

func TestDeltaOfAShardHasItsScope(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.with(everyList)
	one := w.issue(w.pair("900000000017", "a"))[0]
	shard, delta := certs.ShardList(one.Shard), certs.ListName{Shard: one.Shard, Delta: true}
	w.setStatus(certs.Revoked(certs.ReasonKeyCompromise), one.Ref)
	w.must(a, ca.Authentication, shard)
	complete, _ := w.named(ca.Authentication, shard)
	list, _ := w.named(ca.Authentication, delta)
	scope, critical := extension(complete, certs.OIDIssuingDistribution)
	same, also := extension(list, certs.OIDIssuingDistribution)
	if !critical || !also || !bytes.Equal(scope, same) || !bytes.Contains(scope, []byte(certs.ListPath(ca.Authentication, shard))) || len(list.RevokedCertificateEntries) != 1 {
		t.Errorf("scope %q, of the delta %q", scope, same)
	}
}

func TestEndedCertificatesLeaveTheShardsAndStayInTheArchive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pair := w.issue(w.pair("900000000017", "a"))
	for _, one := range pair {
		w.setStatus(certs.Revoked(certs.ReasonKeyCompromise), one.Ref)
	}
	w.advance(pair[1].Certificate.NotAfter.Sub(w.Now()) + time.Hour)
	archive := certs.ListName{Kind: certs.ListArchive}
	for range 2 { // the first list past the end still names it
		w.must(w.authority, ca.Signing, certs.ShardList(pair[1].Shard))
	}
	w.must(w.authority, ca.Signing, archive)
	if list := w.list(ca.Signing, pair[1].Shard); len(list.RevokedCertificateEntries) != 0 {
		t.Errorf("the shard still names %d", len(list.RevokedCertificateEntries))
	}
	list, _ := w.named(ca.Signing, archive)
	var since time.Time
	value, critical := extension(list, certs.OIDExpiredCertsOnCRL)
	if _, err := asn1.UnmarshalWithParams(value, &since, "generalized"); err != nil || critical || !since.Equal(w.hierarchy.Issuers[ca.Signing].Certificate.NotBefore) {
		t.Errorf("kept since %s, %v", since, err)
	}
	if got := reasons(list); !maps(got, map[string]int{pair[1].Serial.Big().String(): 1}) {
		t.Errorf("archive %v", got)
	}
	if _, err := w.authority.PublishList(t.Context(), ca.Authentication, archive); !errors.Is(err, ca.ErrNoSuchList) {
		t.Errorf("an archive of the authentication CA: %v", err)
	}
	none := w.with(ca.ListPolicy{Archive: []string{}})
	if _, err := none.PublishList(t.Context(), ca.Signing, archive); !errors.Is(err, ca.ErrNoSuchList) {
		t.Errorf("an archive against the policy: %v", err)
	}
}

func TestLongListIsPackedAndUnpacksToItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.revokedInBulk(ca.Services, 12_000, "\x05") // more than one piece of content
	w.must(w.authority, ca.Services, certs.ShardList(5))
	_, s := w.named(ca.Services, certs.ShardList(5))
	if s.Entries != 12_000 || s.List.PackedSize == 0 || s.List.PackedSize > s.List.Size*6/10 {
		t.Fatalf("%d entries, %d octets, packed %d", s.Entries, s.List.Size, s.List.PackedSize)
	}
	var plain, packed []byte
	w.read(func(tx *ledger.Tx) (err error) {
		if plain, err = tx.Content(s.List.Content); err == nil {
			packed, err = tx.Content(s.List.Packed)
		}
		return err
	})
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	if back, err := io.ReadAll(r); err != nil || !bytes.Equal(back, plain) {
		t.Errorf("it unpacks to other octets: %v", err)
	}
}

func TestReplacedListsAreDroppedAfterTwoDaysAndNoOthers(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := newWorld(t)
	first := w.shard(ca.Services, 3).List
	w.must(w.authority, ca.Services, certs.ShardList(3))
	there := func(list certs.ListPublished) bool {
		err := w.ledger.Read(t.Context(), func(tx *ledger.Tx) error { _, err := tx.Content(list.Content); return err })
		return err == nil
	}
	if !there(first) {
		t.Error("it went at once")
	}
	w.advance(49 * time.Hour)
	w.publish(&ca.Publisher{Authority: w.authority})
	w.waitFor("the drop", func() bool { return !there(first) })
	for _, name := range ca.Names() {
		if !there(w.shard(name, 0).List) {
			t.Errorf("the newest list of %s is gone", name)
		}
	}
	if err := w.ledger.VerifyContents(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRootsListIsAskedForAtSixtyAndAtThirtyDays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kinds := func() (out []string) {
		alarms, err := w.authority.Alarms(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range alarms {
			if a.Issuer == ca.Root {
				out = append(out, a.Kind)
			}
		}
		return out
	}
	end := w.shard(ca.Root, 0).List.NextUpdate
	for _, step := range []struct {
		before time.Duration
		want   []string
	}{{61 * 24 * time.Hour, nil}, {59 * 24 * time.Hour, []string{"list-due"}}, {29 * 24 * time.Hour, []string{"list-ending"}}} {
		w.advance(end.Add(-step.before).Sub(w.Now()))
		if got := kinds(); !slices.Equal(got, step.want) {
			t.Errorf("%s before the end: %v", step.before, got)
		}
	}
}

// openssl's judgement with a base, its delta and freshest lists.
func TestRefereesApplyDeltas(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "openssl")
	w := newWorld(t)
	d := newDesk(w)
	a := w.with(everyList)
	full, delta := certs.ListName{Kind: certs.ListFull}, certs.ListName{Kind: certs.ListFull, Delta: true}
	lost, found := w.issue(w.pair("900000000017", "a"))[0], w.issue(w.pair("900000000017", "b"))[0]
	w.setStatus(certs.Held(), found.Ref)
	w.must(a, ca.Authentication, full)
	old := w.namedDER(ca.Authentication, full)
	w.advance(2 * time.Second)
	w.setStatus(certs.Revoked(certs.ReasonKeyCompromise), lost.Ref)
	w.write(func(tx *ledger.Tx) error { return register.Release(tx, []certs.Ref{found.Ref}) })
	w.must(a, ca.Authentication, full)
	lists := d.put("delta.pem", "X509 CRL", old, w.namedDER(ca.Authentication, delta))
	stale := d.put("stale.pem", "X509 CRL", old)
	judge := func(one ca.Issued, lists string) string {
		certificate := d.put("delta-leaf.pem", "CERTIFICATE", one.Certificate.Raw)
		out, ok := w.run("openssl", "verify", "-crl_check", "-extended_crl", "-use_deltas", "-attime", unix(w.Now()), "-CAfile", filepath.Join(d.dir, "root.pem"),
			"-untrusted", filepath.Join(d.dir, ca.Authentication+".pem"), "-CRLfile", lists, certificate)
		switch {
		case ok:
			return "good"
		case strings.Contains(out, "certificate revoked"):
			return "revoked"
		}
		return out
	}
	for _, x := range []struct {
		what  string
		one   ca.Issued
		lists string
		want  string
	}{{"lost, by the old list", lost, stale, "good"}, {"lost, with the delta", lost, lists, "revoked"},
		{"found, by the old list", found, stale, "revoked"}, {"found, with the delta", found, lists, "good"}} {
		if got := judge(x.one, x.lists); got != x.want {
			t.Errorf("openssl of the certificate %s: %s", x.what, got)
		}
	}
}

func (w *world) namedDER(issuer string, which certs.ListName) []byte {
	w.Helper()
	list, _ := w.named(issuer, which)
	return list.Raw
}

func unix(t time.Time) string { return big.NewInt(t.Unix()).String() }
