package register_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"path/filepath"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// world is a ledger with one issuer of four shards and a clock that is set by hand.
type world struct {
	testing.TB
	ledger *ledger.Ledger
	now    time.Time
	ca     *x509.Certificate
	key    *ecdsa.PrivateKey
	issuer certs.IssuerID
}

var begin = time.Date(2027, 3, 1, 12, 0, 0, 250_000_000, time.UTC)

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, now: begin}
	return w.open("sqlite:" + filepath.Join(t.TempDir(), "ledger.db"))
}

func (w *world) open(url string) *world {
	w.Helper()
	return w.openWith(url, func() time.Time { return w.now })
}

func (w *world) openWith(url string, clock func() time.Time) *world {
	w.Helper()
	l, err := ledger.Create(w.Context(), ledger.Options{URL: url, Rooms: []ledger.Room{register.Room()}, Now: clock})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { l.Close() })
	w.ledger = l
	w.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.Fatal(err)
	}
	w.ca = w.sign(&x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: begin, NotAfter: begin.AddDate(10, 0, 0)}, w.key)
	w.issuer = certs.IssuerIDOf(w.ca)
	w.must(func(tx *ledger.Tx) error {
		return register.AddIssuer(tx, certs.IssuerAdded{Name: "authentication", DER: w.ca.Raw, Shards: 4})
	})
	return w
}

func (w *world) sign(template *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	w.Helper()
	parent := w.ca
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), w.key)
	if err != nil {
		w.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		w.Fatal(err)
	}
	return c
}

func (w *world) write(fn func(*ledger.Tx) error) error {
	_, err := w.ledger.Write(w.Context(), fn)
	return err
}

func (w *world) must(fn func(*ledger.Tx) error) {
	w.Helper()
	if err := w.write(fn); err != nil {
		w.Fatal(err)
	}
}

func (w *world) read(fn func(*ledger.Tx) error) {
	w.Helper()
	if err := w.ledger.Read(w.Context(), fn); err != nil {
		w.Fatal(err)
	}
}

// promised is a certificate and the intent it was promised by.
type promised struct {
	register.Intent
	certificate *x509.Certificate
}

func (w *world) promise(shard uint16, card string) promised {
	w.Helper()
	serial, err := certs.NewSerial(time.Now(), rand.Reader)
	if err != nil {
		w.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.Fatal(err)
	}
	c := w.sign(&x509.Certificate{SerialNumber: serial.Big(), Subject: pkix.Name{CommonName: "900000000017"},
		NotBefore: begin.Truncate(time.Second), NotAfter: begin.Truncate(time.Second).Add(30 * 24 * time.Hour)}, key)
	return promised{certificate: c, Intent: register.Intent{
		Ref: certs.Ref{Issuer: w.issuer, Serial: serial}, Profile: "authentication", Holder: "900000000017", Card: card,
		Request: "request-1", Shard: shard, Key: sha256.Sum256(c.RawSubjectPublicKeyInfo), Policy: sha256.Sum256([]byte("rules")),
		TBS: c.RawTBSCertificate}}
}

func (p promised) signed() []register.Signed {
	return []register.Signed{{Ref: p.Ref, DER: p.certificate.Raw}}
}

// issue reserves and records one certificate.
func (w *world) issue(shard uint16, card string) promised {
	w.Helper()
	p := w.promise(shard, card)
	w.must(func(tx *ledger.Tx) error { return register.Reserve(tx, p.Intent) })
	w.must(func(tx *ledger.Tx) error { return register.Record(tx, p.signed()) })
	return p
}

// changes reads the journal back, parsed.
func (w *world) changes() (recorded []certs.Recorded, statuses []certs.StatusChange) {
	w.Helper()
	all, err := w.ledger.Feed().Read(w.Context(), 0, 10_000)
	if err != nil {
		w.Fatal(err)
	}
	for _, c := range all {
		switch c.Kind {
		case journal.KindCertificatesRecorded:
			r, err := certs.ParseRecorded(c.Body)
			if err != nil {
				w.Fatal(err)
			}
			recorded = append(recorded, r)
		case journal.KindStatusChanged:
			s, err := certs.ParseStatusChange(c.Body)
			if err != nil {
				w.Fatal(err)
			}
			statuses = append(statuses, s)
		}
	}
	return recorded, statuses
}

func TestReservedSerialIsUnknownUntilItIsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.promise(2, "card-1")
	w.must(func(tx *ledger.Tx) error { return register.Reserve(tx, p.Intent) })
	w.read(func(tx *ledger.Tx) error {
		if _, err := register.StatusOf(tx, p.Ref); !errors.Is(err, register.ErrUnknownSerial) {
			t.Errorf("status of a reserved serial: %v", err)
		}
		open, err := register.OpenIntents(tx)
		if err != nil || len(open) != 1 || open[0].Ref != p.Ref || string(open[0].TBS) != string(p.TBS) || open[0].Card != "card-1" ||
			open[0].Key != p.Key || open[0].Policy != p.Policy || open[0].Request != "request-1" || open[0].Shard != 2 {
			t.Errorf("open intents: %+v, %v", open, err)
		}
		return nil
	})
	if recorded, _ := w.changes(); len(recorded) != 0 {
		t.Errorf("a reservation was announced: %+v", recorded)
	}
	w.must(func(tx *ledger.Tx) error { return register.Record(tx, p.signed()) })
	w.read(func(tx *ledger.Tx) error {
		c, err := register.CertificateOf(tx, p.Ref)
		if err != nil || string(c.DER) != string(p.certificate.Raw) || c.Digest != sha256.Sum256(p.certificate.Raw) ||
			c.Status != (certs.Status{}) || c.Spoiled || !c.NotAfter.Equal(p.certificate.NotAfter) || c.Shard != 2 {
			t.Errorf("certificate: %+v, %v", c, err)
		}
		open, err := register.OpenIntents(tx)
		if err != nil || len(open) != 0 {
			t.Errorf("open intents: %+v, %v", open, err)
		}
		return nil
	})
	recorded, _ := w.changes()
	want := certs.RecordedCertificate{Serial: p.Serial, Digest: sha256.Sum256(p.certificate.Raw), NotAfter: p.certificate.NotAfter,
		Shard: 2, Profile: "authentication", Holder: "900000000017"}
	if len(recorded) != 1 || len(recorded[0].Certificates) != 1 || recorded[0].Certificates[0] != want {
		t.Errorf("announced %+v", recorded)
	}
}

func TestRecordRefusesWhatWasNotPromised(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, other := w.promise(0, "a"), w.promise(0, "b")
	w.must(func(tx *ledger.Tx) error { return register.Reserve(tx, p.Intent) })
	swapped := []register.Signed{{Ref: p.Ref, DER: other.certificate.Raw}}
	if err := w.write(func(tx *ledger.Tx) error { return register.Record(tx, swapped) }); !errors.Is(err, register.ErrOtherContent) {
		t.Errorf("another certificate: %v", err)
	}
	if err := w.write(func(tx *ledger.Tx) error { return register.Record(tx, other.signed()) }); !errors.Is(err, register.ErrNotReserved) {
		t.Errorf("a serial never reserved: %v", err)
	}
	w.must(func(tx *ledger.Tx) error { return register.Record(tx, p.signed()) })
	if err := w.write(func(tx *ledger.Tx) error { return register.Record(tx, p.signed()) }); !errors.Is(err, register.ErrNotReserved) {
		t.Errorf("the same certificate again: %v", err)
	}
}

func TestReserveRefusesTakenSerialsForeignShardsAndSeenKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.issue(0, "card-1")
	reserve := func(in register.Intent) error {
		return w.write(func(tx *ledger.Tx) error { return register.Reserve(tx, in) })
	}
	if err := reserve(p.Intent); !errors.Is(err, register.ErrSerialTaken) {
		t.Errorf("the same serial: %v", err)
	}
	next := w.promise(4, "card-1")
	if err := reserve(next.Intent); !errors.Is(err, register.ErrUnknownShard) {
		t.Errorf("shard 4 of 4: %v", err)
	}
	next.Shard, next.Issuer = 3, certs.IssuerID{1}
	if err := reserve(next.Intent); !errors.Is(err, register.ErrUnknownIssuer) {
		t.Errorf("an unknown issuer: %v", err)
	}
	next.Issuer, next.Key, next.Card = w.issuer, p.Key, "card-2"
	var seen *register.KeySeenError
	if err := reserve(next.Intent); !errors.As(err, &seen) || seen.Use.Card != "card-1" {
		t.Errorf("a key of another card: %v", err)
	}
	next.Card = ""
	if err := reserve(next.Intent); !errors.As(err, &seen) {
		t.Errorf("a card's key on a machine: %v", err)
	}
	next.Card = "card-1"
	if err := reserve(next.Intent); err != nil {
		t.Errorf("the same card again: %v", err)
	}
	w.read(func(tx *ledger.Tx) error {
		use, ok, err := register.KeySeen(tx, p.Key)
		if err != nil || !ok || use.Card != "card-1" || use.Holder != "900000000017" {
			t.Errorf("key seen: %+v, %v, %v", use, ok, err)
		}
		return nil
	})
}

func TestSpoiledSerialIsRevokedEverywhereAndFreesItsKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.promise(1, "card-1")
	w.must(func(tx *ledger.Tx) error { return register.Reserve(tx, p.Intent) })
	w.must(func(tx *ledger.Tx) error { return register.Spoil(tx, p.Ref, "interrupted") })
	w.read(func(tx *ledger.Tx) error {
		c, err := register.CertificateOf(tx, p.Ref)
		if err != nil || !c.Spoiled || c.Why != "interrupted" || c.DER != nil || c.Digest != (journal.Hash{}) ||
			c.Status.State != certs.StateRevoked || !c.Status.At.Equal(begin.Truncate(time.Second)) {
			t.Errorf("spoiled: %+v, %v", c, err)
		}
		n := 0
		err = register.Revoked(tx, w.issuer, certs.ShardList(1), func(e register.Entry) error {
			n++
			return nil
		})
		if err != nil || n != 1 {
			t.Errorf("%d entries on the list, %v", n, err)
		}
		if _, ok, err := register.KeySeen(tx, p.Key); ok || err != nil {
			t.Errorf("the key is still taken: %v, %v", ok, err)
		}
		return nil
	})
	recorded, statuses := w.changes()
	if len(recorded) != 1 || recorded[0].Certificates[0].Digest != (journal.Hash{}) ||
		len(statuses) != 1 || statuses[0].Serials[0] != p.Serial || statuses[0].Status.State != certs.StateRevoked {
		t.Errorf("announced %+v, %+v", recorded, statuses)
	}
	for name, try := range map[string]func(tx *ledger.Tx) error{
		"recorded":      func(tx *ledger.Tx) error { return register.Record(tx, p.signed()) },
		"spoiled again": func(tx *ledger.Tx) error { return register.Spoil(tx, p.Ref, "again") },
	} {
		if err := w.write(try); !errors.Is(err, register.ErrNotReserved) {
			t.Errorf("%s after spoiling: %v", name, err)
		}
	}
}

func TestAllListsEveryCertificateWithItsStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.issue(0, "a"), w.issue(1, "b")
	w.must(func(tx *ledger.Tx) error { return register.SetStatus(tx, []certs.Ref{b.Ref}, certs.Held()) })
	found := map[certs.Ref]register.Certificate{}
	w.read(func(tx *ledger.Tx) error {
		for c, err := range register.All(tx) {
			if err != nil {
				return err
			}
			found[c.Ref] = c
		}
		for name, list := range map[string]func() ([]register.Certificate, error){
			"holder": func() ([]register.Certificate, error) { return register.ByHolder(tx, "900000000017") },
			"card":   func() ([]register.Certificate, error) { return register.ByCard(tx, "b") },
			"serial": func() ([]register.Certificate, error) { return register.BySerial(tx, b.Serial) },
		} {
			got, err := list()
			if err != nil || len(got) == 0 || name != "holder" && (len(got) != 1 || got[0].Ref != b.Ref) {
				t.Errorf("by %s: %+v, %v", name, got, err)
			}
		}
		return nil
	})
	if len(found) != 2 || found[a.Ref].Status.State != certs.StateGood || found[b.Ref].Status.State != certs.StateHeld ||
		string(found[b.Ref].DER) != string(b.certificate.Raw) {
		t.Errorf("found %+v", found)
	}
}

func TestIssuerIsAddedOnceAndAnnounced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	again := certs.IssuerAdded{Name: "other", DER: w.ca.Raw, Shards: 1}
	if err := w.write(func(tx *ledger.Tx) error { return register.AddIssuer(tx, again) }); err == nil {
		t.Error("the same key became a second issuer")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	namesake := w.sign(&x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: begin, NotAfter: begin.AddDate(1, 0, 0)}, key)
	again = certs.IssuerAdded{Name: "authentication", DER: namesake.Raw, Shards: 1}
	if err := w.write(func(tx *ledger.Tx) error { return register.AddIssuer(tx, again) }); err == nil {
		t.Error("two issuers have one name, and so the same URLs")
	}
	w.read(func(tx *ledger.Tx) error {
		issuers, err := register.Issuers(tx)
		if err != nil || len(issuers) != 1 || issuers[0].ID != w.issuer || issuers[0].Shards != 4 || issuers[0].Name != "authentication" {
			t.Errorf("issuers %+v, %v", issuers, err)
		}
		shards, err := register.Shards(tx)
		if err != nil || len(shards) != 4 {
			t.Errorf("shards %+v, %v", shards, err)
		}
		return nil
	})
	changes, err := w.ledger.Feed().Read(context.Background(), 0, 10)
	if err != nil || len(changes) != 1 || changes[0].Kind != journal.KindIssuerAdded {
		t.Fatalf("journal %+v, %v", changes, err)
	}
	if added, err := certs.ParseIssuerAdded(changes[0].Body); err != nil || added.Name != "authentication" || added.Shards != 4 {
		t.Errorf("announced %+v, %v", added, err)
	}
}
