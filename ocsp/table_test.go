package ocsp_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/replica"
	"cardinal/ocsp"
)

func randomSerial(t testing.TB) certs.Serial {
	t.Helper()
	s, err := certs.NewSerial(time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestKnownMeansExactlyThisCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ready()
	good, lost, unrecorded := w.issued(w.auth), w.issued(w.auth), w.leaf(w.auth, "")
	paused := w.issued(w.signing)
	w.set(w.auth, revoked(certs.ReasonKeyCompromise), lost)
	w.set(w.signing, held(), paused)
	foreign := newAuthority(t, "foreign")
	forged := w.leaf(w.auth, "") // another certificate with a recorded serial
	twin := *w.auth
	template := *forged
	template.SerialNumber = good.SerialNumber
	forged = twin.sign(t, &template, w.auth.cert, forged.PublicKey)
	for name, c := range map[string]struct {
		der         []byte
		known, good bool
	}{
		"good":           {good.Raw, true, true},
		"revoked":        {lost.Raw, true, false},
		"held":           {paused.Raw, true, false},
		"not recorded":   {unrecorded.Raw, true, false},
		"same serial":    {forged.Raw, true, false},
		"foreign":        {foreign.cert.Raw, false, false},
		"not a thing":    {[]byte("nonsense"), true, false},
		"nothing at all": {nil, true, false},
	} {
		if known, isGood := w.table.Known(c.der); known != c.known || isGood != c.good {
			t.Errorf("%s: known %t, good %t", name, known, isGood)
		}
	}
	if !w.table.Good(foreign.cert.Raw) || w.table.Good(lost.Raw) {
		t.Errorf("Good does not follow Known")
	}
	if _, err := w.table.Status(w.auth.id, randomSerial(t)); !errors.Is(err, ocsp.ErrUnknown) {
		t.Errorf("a serial never issued: %v", err)
	}
}

func TestRestoreKeepsRevocationsAndForgetsNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve()
	w.ready()
	early, lost, paused := w.issued(w.auth), w.issued(w.auth), w.issued(w.auth)
	w.set(w.auth, held(), early)
	keep := w.set(w.auth, certs.Status{}, early)
	reason := revoked(certs.ReasonKeyCompromise)
	w.set(w.auth, reason, lost)
	w.set(w.auth, held(), paused)
	late := w.issued(w.auth) // a certificate the restored ledger has never heard of
	w.set(w.auth, revoked(certs.ReasonSuperseded), late)
	w.feed.Restore(keep)
	w.eventually("the new epoch", func() bool { s := w.replica.State(); return s.Epoch == 2 && !s.Reseeding && !s.Loading })
	w.feed.SetQuarantine(false)
	w.eventually("quarantine over", func() bool { return !w.replica.State().Quarantine })
	for c, want := range map[certs.Serial]certs.State{serialOf(t, early): certs.StateGood, serialOf(t, lost): certs.StateRevoked,
		serialOf(t, paused): certs.StateHeld, serialOf(t, late): certs.StateRevoked} {
		if status, err := w.table.Status(w.auth.id, c); err != nil || status.State != want {
			t.Errorf("%s: %v, %v", c, status, err)
		}
	}
	if got, _ := w.table.Status(w.auth.id, serialOf(t, lost)); !got.Equal(reason) {
		t.Errorf("kept %v, was %v", got, reason)
	}
	if w.replica.State().ReseedRevoked == 0 {
		t.Errorf("nothing is reported as kept")
	}
	// Released in the new epoch: a hold ends. A revocation does not, though the register, which lost it, may have had the
	// certificate on hold or never have heard of it.
	w.set(w.auth, certs.Status{}, paused, lost, late)
	if status, err := w.table.Status(w.auth.id, serialOf(t, paused)); err != nil || status.State != certs.StateGood {
		t.Errorf("released: %v, %v", status, err)
	}
	for _, c := range []*x509.Certificate{lost, late} {
		if status, err := w.table.Status(w.auth.id, serialOf(t, c)); err != nil || status.State != certs.StateRevoked {
			t.Errorf("a revocation that was kept was taken back: %v, %v", status, err)
		}
	}
}

func (w *world) publish(a *authority, shard uint16, number uint64, data []byte) {
	w.t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	list := certs.ListPublished{Issuer: a.id, Shard: shard, Number: number, ThisUpdate: now, NextUpdate: now.AddDate(0, 0, 7),
		Content: w.feed.PutContent(data), Size: int64(len(data))}
	w.append(journal.KindListPublished, list.Append(nil))
}

func TestListsAreServedEvenWhenStale(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, c *ocsp.Config, _ *replica.Options) { c.Limits.Stale = time.Nanosecond })
	if r := w.call("GET", "/crl/authentication/2.crl", nil); r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
		t.Errorf("before any list: %s", r.Status)
	}
	data := make([]byte, 300_000)
	_, _ = rand.Read(data)
	w.publish(w.auth, 2, 7, data)
	has := func(number uint64) func() bool {
		return func() bool {
			l, err := w.table.List("authentication", certs.ShardList(2))
			return err == nil && l.Number == number
		}
	}
	w.eventually("the list", has(7))
	r := w.call("GET", "/crl/authentication/2.crl", nil)
	etag := r.Header.Get("Etag")
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/pkix-crl" || etag == "" || r.Header.Get("Last-Modified") == "" ||
		!bytes.Equal(bodyOf(t, r), data) {
		t.Errorf("GET: %s %v", r.Status, r.Header)
	}
	if r := w.call("HEAD", "/crl/authentication/2.crl", nil); r.Header.Get("Content-Length") != "300000" || len(bodyOf(t, r)) != 0 {
		t.Errorf("HEAD: %s %v", r.Status, r.Header)
	}
	if r := w.call("GET", "/crl/authentication/2.crl", nil, "Range", "bytes=131000-131199"); r.StatusCode != 206 || !bytes.Equal(bodyOf(t, r), data[131000:131200]) {
		t.Errorf("range: %s", r.Status)
	}
	if r := w.call("GET", "/crl/authentication/2.crl", nil, "If-None-Match", etag); r.StatusCode != 304 {
		t.Errorf("same tag: %s", r.Status)
	}
	old, err := w.table.List("authentication", certs.ShardList(2))
	if err != nil {
		t.Fatal(err)
	}
	slow := old.Open(false)
	w.publish(w.auth, 2, 6, []byte("an older list"))
	w.publish(w.auth, 2, 8, []byte("a newer list"))
	w.eventually("the newer list", has(8))
	rest := make([]byte, len(data))
	if n, err := slow.Read(rest[:10]); n != 10 || err != nil || !bytes.Equal(rest[:10], data[:10]) {
		t.Errorf("a download under way ends when its list is replaced: %v", err)
	}
	if r := w.call("GET", "/crl/authentication/2.crl", nil, "If-None-Match", etag); string(bodyOf(t, r)) != "a newer list" {
		t.Errorf("after the newer one: %s", r.Status)
	}
}

func TestListWithWrongBytesIsNotServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(w.auth, 0, 1, []byte("first"))
	w.eventually("the list", func() bool { _, err := w.table.List("authentication", certs.ShardList(0)); return err == nil })
	now := time.Now()
	for _, list := range []certs.ListPublished{
		{Content: journal.Hash{1}, Size: 9},                                     // nowhere to be had
		{Content: w.feed.PutContent([]byte("other size")), Size: 9},             // not as announced
		{Content: w.feed.PutContent([]byte("too long to take")), Size: 1 << 40}, // more than a node takes
	} {
		list.Issuer, list.Number, list.ThisUpdate, list.NextUpdate = w.auth.id, 2, now, now
		w.append(journal.KindListPublished, list.Append(nil))
	}
	w.publish(w.signing, 0, 1, []byte("another list is not held up"))
	w.eventually("the other list", func() bool { _, err := w.table.List("signing", certs.ShardList(0)); return err == nil })
	if l, err := w.table.List("authentication", certs.ShardList(0)); err != nil || l.Number != 1 {
		t.Errorf("list %v, %v", l, err)
	}
	w.issued(w.auth) // nor are certificates
}

func TestCACertificatesAreServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, a := range map[string]*authority{"authentication": w.auth, "signing": w.signing} {
		r := w.call("GET", "/ca/"+name+".cer", nil)
		if !bytes.Equal(bodyOf(t, r), a.cert.Raw) || r.Header.Get("Content-Type") != "application/pkix-cert" {
			t.Errorf("%s: %s %v", name, r.Status, r.Header)
		}
		if r := w.call("GET", "/ca/"+name+".cer", nil, "If-None-Match", r.Header.Get("Etag")); r.StatusCode != 304 {
			t.Errorf("%s again: %s", name, r.Status)
		}
	}
}

// Two tables fed by random histories, one restarted all the time, agree byte for byte, and with a plain map.
func TestTablesFollowRandomHistories(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	feed := journal.NewMemory()
	a := newAuthority(t, "authentication")
	feed.Append(journal.KindIssuerAdded, 1, certs.IssuerAdded{Name: a.name, DER: a.cert.Raw, Shards: 16}.Append(nil))
	h := &random{Rand: mrand.New(mrand.NewPCG(7, 7)), feed: feed, issuer: a, model: map[certs.Serial]certs.Status{}}
	dir := t.TempDir()
	open := func(name string) *replica.Replica {
		r, err := replica.Open(t.Context(), replica.Options{Path: filepath.Join(dir, name), Feed: feed,
			Appliers: []replica.Applier{ocsp.NewTable()}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for range 30 {
		for range h.IntN(6) {
			h.step(t)
		}
		r := open("restarted")
		follow(t, r, feed)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	one, two := open("restarted"), open("straight")
	follow(t, one, feed)
	follow(t, two, feed)
	first, err1 := one.Digest("certificates")
	second, err2 := two.Digest("certificates")
	if err := errors.Join(err1, err2); err != nil || first != second {
		t.Errorf("digests %s and %s, %v", first, second, err)
	}
	agrees(t, two, a, h.model)
	if err := errors.Join(one.Check(), two.Check(), one.Close(), two.Close()); err != nil {
		t.Error(err)
	}
}

// random is a history that grows by chance, with what must come out of it.
type random struct {
	*mrand.Rand
	feed    *journal.Memory
	issuer  *authority
	model   map[certs.Serial]certs.Status
	serials []certs.Serial
}

// step records certificates or changes the status of some.
func (h *random) step(t *testing.T) {
	if len(h.serials) == 0 || h.IntN(3) == 0 {
		change := certs.Recorded{Issuer: h.issuer.id}
		for range 1 + h.IntN(200) {
			s := randomSerial(t)
			h.serials = append(h.serials, s)
			h.model[s] = certs.Status{}
			change.Certificates = append(change.Certificates, certs.RecordedCertificate{Serial: s, Digest: sha256.Sum256([]byte(s)),
				NotAfter: time.Unix(1.9e9, 0), Profile: "authentication", Holder: "123456789012"})
		}
		h.feed.Append(journal.KindCertificatesRecorded, 1, change.Append(nil))
		return
	}
	change := certs.StatusChange{Issuer: h.issuer.id}
	switch h.IntN(3) {
	case 0:
		change.Status = held()
	case 1:
		change.Status = revoked(certs.ReasonSuperseded)
	}
	for range 1 + h.IntN(3000) {
		s := h.serials[h.IntN(len(h.serials))]
		if h.model[s].State != certs.StateRevoked || change.Status.State == certs.StateRevoked {
			h.model[s] = change.Status // what is revoked stays so, whatever follows
		}
		change.Serials = append(change.Serials, s)
	}
	for _, part := range change.Split() {
		h.feed.Append(journal.KindStatusChanged, 1, part.Append(nil))
	}
}

func agrees(t *testing.T, r *replica.Replica, a *authority, model map[certs.Serial]certs.Status) {
	t.Helper()
	n := 0
	err := r.View("certificates", func(b *bbolt.Bucket, _ replica.State) error {
		return ocsp.EachRecord(b, a.id, func(s certs.Serial, record ocsp.Record) error {
			n++
			if want, ok := model[s]; !ok || !record.Status.Equal(want) || !record.Recorded || record.Digest != sha256.Sum256([]byte(s)) {
				return fmt.Errorf("serial %s: %+v, want %v", s, record, want)
			}
			return nil
		})
	})
	if err != nil || n != len(model) {
		t.Errorf("%d records of %d: %v", n, len(model), err)
	}
}

// follow brings a replica up to its feed's head.
func follow(t testing.TB, r *replica.Replica, feed *journal.Memory) {
	t.Helper()
	head, err := feed.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := contextWithTimeout(t)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.Follow(ctx) }()
	if err := r.WaitFor(ctx, head.Position); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
