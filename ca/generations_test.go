package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// key gives the key of the authorities of a test, made when first asked for.
type keyring struct {
	testing.TB
	mu   sync.Mutex
	keys map[string]*ecdsa.PrivateKey
}

func (k *keyring) open(_ context.Context, name string) (crypto.Signer, error) {
	return k.key(name), nil
}

func (k *keyring) key(name string) *ecdsa.PrivateKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys[name] == nil {
		curve := elliptic.P256()
		if certs.IssuerKind(name) == ca.Root {
			curve = elliptic.P384()
		}
		k.keys[name] = newKey(k.TB, curve)
	}
	return k.keys[name]
}

// offline is an authority as a ceremony has it: with the root's key.
func (w *world) offline(k *keyring) *ca.Authority {
	w.Helper()
	a, err := ca.New(ca.Config{Ledger: w.ledger, Issuers: w.hierarchy.Issuers, Policies: w.policies, PublicURL: publicURL,
		Now: w.Now, Open: k.open})
	if err == nil {
		err = a.Refresh(w.Context())
	}
	if err != nil {
		w.Fatal(err)
	}
	return a
}

// online is an authority as a server has it: without the root's key.
func (w *world) online(k *keyring) *ca.Authority {
	w.Helper()
	issuers := map[string]ca.Issuer{}
	for name, i := range w.hierarchy.Issuers {
		if name == ca.Root {
			i.Signer = nil
		}
		issuers[name] = i
	}
	a, err := ca.New(ca.Config{Ledger: w.ledger, Issuers: issuers, Policies: w.policies, PublicURL: publicURL, Now: w.Now, Open: k.open})
	if err == nil {
		err = a.Refresh(w.Context())
	}
	if err != nil {
		w.Fatal(err)
	}
	return a
}

func (w *world) roll(a *ca.Authority, k *keyring, name string) *x509.Certificate {
	w.Helper()
	c, err := a.Make(w.Context(), ca.NewGeneration{Name: name, CommonName: ca.CommonName("Example Health", name), Signer: k.key(name), FromNow: true})
	if err != nil {
		w.Fatal(err)
	}
	return c
}

func TestRolloverUnderLoadLosesNoCard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := &keyring{TB: t, keys: map[string]*ecdsa.PrivateKey{}}
	server := w.online(k)
	ctx, cancel := context.WithCancel(t.Context())
	var working sync.WaitGroup
	working.Go(func() {
		if err := (&ca.Publisher{Authority: server}).Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer working.Wait()
	defer cancel()
	by := map[string]int{}
	var old, young *x509.Certificate
	for n := 0; by["authentication-2"] < 4; n++ {
		issued, _, err := server.Issue(t.Context(), w.pair(fmt.Sprintf("9000000%05d", n), fmt.Sprintf("card-%d", n)), nil)
		if err != nil {
			t.Fatalf("pair %d: %v", n, err)
		}
		by[issued[0].Issuer]++
		if issued[1].Issuer != ca.Signing {
			t.Fatalf("the signature certificate is of %s", issued[1].Issuer)
		}
		if n == 3 {
			young = w.roll(w.offline(k), k, "authentication-2")
			old = w.hierarchy.Issuers[ca.Authentication].Certificate
		}
		issuer := server.ByKey(issued[0].Ref.Issuer)
		if err := issued[0].Certificate.CheckSignatureFrom(issuer); err != nil {
			t.Fatal(err)
		}
		if url := issued[0].Certificate.CRLDistributionPoints[0]; !strings.Contains(url, "/crl/"+issued[0].Issuer+"/") {
			t.Errorf("a certificate of %s has the list %s", issued[0].Issuer, url)
		}
		if n > 2000 {
			t.Fatal("the server never took the new generation up")
		}
	}
	if by[ca.Authentication] < 4 || bytes.Equal(old.RawSubject, young.RawSubject) {
		t.Errorf("%v; %s and %s", by, old.Subject, young.Subject)
	}
	if got := server.Generations(ca.Authentication); len(got) != 2 || !got[1].Equal(young) {
		t.Errorf("%d generations", len(got))
	}
	for _, of := range []*x509.Certificate{old, young} { // both still certify their responders
		if _, err := server.Responder(t.Context(), certs.IssuerIDOf(of), newKey(t, elliptic.P256()).Public()); err != nil {
			t.Error(err)
		}
	}
}

func TestGenerationIssuesFromTheDayItIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := &keyring{TB: t, keys: map[string]*ecdsa.PrivateKey{}}
	a := w.offline(k)
	from := w.Now().Add(24 * time.Hour)
	make := ca.NewGeneration{Name: "signing-2", CommonName: "Example Health Signing G2", Signer: k.key("signing-2"), From: from}
	if _, err := a.Make(t.Context(), make); err != nil {
		t.Fatal(err)
	}
	w.authority = w.online(k)
	if got := w.issue(w.pair("900000000017", "one"))[1].Issuer; got != ca.Signing {
		t.Errorf("a day early %s issues", got)
	}
	w.advance(25 * time.Hour)
	if got := w.issue(w.pair("900000000017", "two"))[1].Issuer; got != "signing-2" {
		t.Errorf("after the day %s issues", got)
	}
	for _, name := range []string{"signing-4", "signing-02", "Signing-3", "printing"} {
		bad := ca.NewGeneration{Name: name, CommonName: "X", Signer: newKey(t, elliptic.P256())}
		if _, err := a.Make(t.Context(), bad); !errors.Is(err, ca.ErrGeneration) && !errors.Is(err, certs.ErrIssuerName) {
			t.Errorf("%s: %v", name, err)
		}
	}
	make.Signer = newKey(t, elliptic.P256())
	if _, err := a.Make(t.Context(), make); !errors.Is(err, ca.ErrGeneration) {
		t.Errorf("the same name with another key: %v", err)
	}
}

// TestInterruptedRolloverIsFinishedByDoingItAgain breaks off at every commit in turn.
func TestInterruptedRolloverIsFinishedByDoingItAgain(t *testing.T) {
	t.Parallel()
	errBroken := errors.New("the power went")
	for broken := 1; broken <= 8; broken++ {
		w := newWorld(t)
		k := &keyring{TB: t, keys: map[string]*ecdsa.PrivateKey{}}
		a := w.offline(k)
		var mu sync.Mutex
		commits := 0
		w.faults.Before = func(step string) error {
			mu.Lock()
			defer mu.Unlock()
			if step == "commit" {
				commits++
			}
			if commits >= broken {
				return errBroken
			}
			return nil
		}
		g := ca.NewGeneration{Name: "authentication-2", CommonName: "Example Health Authentication G2", Signer: k.key("authentication-2"), FromNow: true}
		_, first := a.Make(t.Context(), g)
		w.faults.Before = nil
		again := w.offline(k)
		if err := again.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := again.Make(t.Context(), g); err != nil {
			t.Fatalf("broken at commit %d (%v), again: %v", broken, first, err)
		}
		w.authority = w.online(k)
		if got := w.issue(w.pair("900000000017", "one"))[0].Issuer; got != "authentication-2" {
			t.Errorf("broken at commit %d: %s issues", broken, got)
		}
		w.read(func(tx *ledger.Tx) error {
			shards, err := register.Shards(tx)
			for _, s := range shards {
				if s.Name == "authentication-2" && s.List.Number == 0 {
					t.Errorf("broken at commit %d: shard %d has no list", broken, s.Shard)
				}
			}
			return err
		})
	}
}

func TestCrossCertificateLeadsFromANewRootToOldCards(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	leaf := w.issue(w.pair("900000000017", "one"))[0].Certificate
	k := &keyring{TB: t, keys: map[string]*ecdsa.PrivateKey{}}
	a := w.offline(k)
	root2 := w.roll(a, k, "root-2")
	cross, err := a.CrossSign(t.Context(), ca.Authentication, "root-2", journal.Hash{})
	if err != nil {
		t.Fatal(err)
	}
	over, err := a.CrossSign(t.Context(), "root-2", ca.Root, journal.Hash{})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := a.CrossSign(t.Context(), "root-2", ca.Root, journal.Hash{}); err != nil || !again.Equal(over) {
		t.Errorf("signed twice: %v", err)
	}
	own := w.hierarchy.Issuers[ca.Authentication].Certificate
	if !bytes.Equal(cross.RawSubject, own.RawSubject) || !bytes.Equal(cross.SubjectKeyId, own.SubjectKeyId) || cross.NotAfter.After(own.NotAfter) {
		t.Errorf("%s until %s, the first is %s until %s", cross.Subject, cross.NotAfter, own.Subject, own.NotAfter)
	}
	verify := func(anchor *x509.Certificate, between ...*x509.Certificate) error {
		roots, others := x509.NewCertPool(), x509.NewCertPool()
		roots.AddCert(anchor)
		for _, c := range between {
			others.AddCert(c)
		}
		_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, CurrentTime: w.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		return err
	}
	if err := verify(root2, cross); err != nil {
		t.Errorf("the new root alone: %v", err)
	}
	if err := verify(w.hierarchy.Issuers[ca.Root].Certificate, over, cross); err != nil {
		t.Errorf("the old root over the new: %v", err)
	}
	if err := verify(root2, own); err == nil {
		t.Error("the new root without the cross-certificate verifies")
	}
	if _, err := a.CrossSign(t.Context(), ca.Signing, ca.Authentication, journal.Hash{}); !errors.Is(err, ca.ErrNotBelow) {
		t.Errorf("by an issuing authority: %v", err)
	}
	// The next generation stands below the new root.
	if c := w.roll(a, k, "authentication-2"); c.CheckSignatureFrom(root2) != nil {
		t.Error("the next generation is not below the new root")
	}
}

func TestResponderOfAnAuthorityMadeElsewhereIsCertifiedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := &keyring{TB: t, keys: map[string]*ecdsa.PrivateKey{}}
	server, office := w.online(k), w.offline(k)
	next := w.roll(office, k, "authentication-2")
	der, err := server.Responder(t.Context(), certs.IssuerIDOf(next), newKey(t, elliptic.P256()).Public()) // without having been told
	if err != nil {
		t.Fatal(err)
	}
	if c, err := x509.ParseCertificate(der); err != nil || c.CheckSignatureFrom(next) != nil {
		t.Errorf("certified by another: %v", err)
	}
	if _, err := server.Responder(t.Context(), certs.IssuerID{1}, newKey(t, elliptic.P256()).Public()); !errors.Is(err, ca.ErrUnknownIssuer) {
		t.Errorf("of nobody: %v", err)
	}
}

func TestRevokedAuthorityIssuesNowhereFromThatMoment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := &keyring{TB: t, keys: map[string]*ecdsa.PrivateKey{}}
	server, office := w.online(k), w.offline(k) // neither is told by the other
	w.roll(office, k, "authentication-2")
	if err := server.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := office.RevokeIssuer(t.Context(), "authentication-2", certs.ReasonCACompromise, journal.Hash{1}); err != nil {
		t.Fatal(err)
	}
	w.authority = server
	if got := w.issue(w.pair("900000000017", "one"))[0].Issuer; got != ca.Authentication {
		t.Errorf("%s issues", got)
	}
	revoked := office.Generations(ca.Authentication)
	list := w.list(ca.Root, 0)
	if len(revoked) != 1 || len(list.RevokedCertificateEntries) != 1 || list.RevokedCertificateEntries[0].ReasonCode != int(certs.ReasonCACompromise) {
		t.Errorf("%d generations left, root list %v", len(revoked), list.RevokedCertificateEntries)
	}
	if err := office.RevokeIssuer(t.Context(), ca.Authentication, certs.ReasonSuperseded, journal.Hash{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := server.Issue(t.Context(), w.pair("900000000025", "two"), nil); !errors.Is(err, register.ErrNotIssuing) {
		t.Errorf("with every generation revoked: %v", err)
	}
	if err := office.Start(t.Context(), ca.Authentication, time.Time{}, journal.Hash{}); !errors.Is(err, register.ErrGenerationEnded) {
		t.Errorf("started again: %v", err)
	}
}

// TestARevokedAuthorityStaysRevokedWhenItIsRetired: it stood among those whose
// certificates sign in again, and in what relying systems trust.
func TestARevokedAuthorityStaysRevokedWhenItIsRetired(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ref := w.issue(w.pair("900000000017", "one"))[0].Ref
	k := &keyring{TB: t, keys: map[string]*ecdsa.PrivateKey{}}
	office := w.offline(k)
	away := w.online(k) // without the root's key
	if err := away.RevokeIssuer(t.Context(), ca.Authentication, certs.ReasonCACompromise, journal.Hash{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"no-issuer", "list-lacks"} {
		alarms, err := away.Alarms(t.Context())
		if err != nil || !slices.ContainsFunc(alarms, func(a ca.Alarm) bool { return a.Kind == want }) {
			t.Errorf("%s is not among %v, %v", want, alarms, err)
		}
	}
	if lacking, err := away.Unlisted(t.Context()); err != nil || !slices.Equal(lacking, []string{ca.Root}) {
		t.Errorf("the lists of %v lack it, %v", lacking, err)
	}
	for _, again := range []func() error{
		func() error { return nil },
		func() error {
			_, err := office.Retire(t.Context(), ca.Retirement{Name: ca.Authentication, Archive: io.Discard, Early: true})
			return err
		},
	} {
		if err := errors.Join(again(), away.Refresh(t.Context())); err != nil {
			t.Fatal(err)
		}
		if left := away.Generations(ca.Authentication); len(left) > 0 {
			t.Errorf("%d generations sign in", len(left))
		}
		err := w.ledger.Read(t.Context(), func(tx *ledger.Tx) error {
			own, err := register.StatusOf(tx, ref)
			if err != nil || own.State != certs.StateGood {
				t.Errorf("by itself it is %v, %v", own.State, err)
			}
			judged, err := register.JudgedOf(tx, ref)
			if judged.State != certs.StateRevoked {
				t.Errorf("below a revoked authority it is %v", judged.State)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestAKeyThatCannotBeOpenedIsLeftAloneForAWhile: each try costs half a second
// of a processor, and a publisher refreshes up to five times a second.
func TestAKeyThatCannotBeOpenedIsLeftAloneForAWhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var tries int
	a, err := ca.New(ca.Config{Ledger: w.ledger, Policies: w.policies, PublicURL: publicURL, Now: w.Now,
		Open: func(context.Context, string) (crypto.Signer, error) {
			tries++
			return nil, errAway
		}})
	if err != nil {
		t.Fatal(err)
	}
	const often = 30
	for range often {
		if err := a.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if tries < 3 || tries >= 3*often { // 3 where the machine does not stop for a second in between
		t.Errorf("%d tries for 3 authorities, refreshed %d times", tries, often)
	}
}

var errAway = errors.New("the token is away")

func TestRetiredAuthorityLeavesLastListsAndASignedArchive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	issued := w.issue(w.pair("900000000017", "one"))
	w.setStatus(certs.Revoked(certs.ReasonKeyCompromise), issued[0].Ref)
	w.issue(w.pair("900000000025", "two"))
	k := &keyring{TB: t, keys: map[string]*ecdsa.PrivateKey{}}
	server, office := w.online(k), w.offline(k)
	w.roll(office, k, "authentication-2")
	var out bytes.Buffer
	if _, err := office.Retire(t.Context(), ca.Retirement{Name: ca.Authentication, Archive: &out}); !errors.Is(err, ca.ErrUnended) {
		t.Fatalf("with a certificate alive: %v", err)
	}
	w.advance(4 * 366 * 24 * time.Hour)
	done, err := office.Retire(t.Context(), ca.Retirement{Name: ca.Authentication, Archive: &out})
	if err != nil {
		t.Fatal(err)
	}
	own := w.hierarchy.Issuers[ca.Authentication].Certificate
	if sum := sha256.Sum256(out.Bytes()); sum != done.Digest || !ecdsa.VerifyASN1(own.PublicKey.(*ecdsa.PublicKey), sum[:], done.Signature) {
		t.Error("the archive is not what was signed")
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	at := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, issued[0].Serial.Hex()) })
	var line struct {
		Status, Reason, Holder string
	}
	if at < 0 || json.Unmarshal([]byte(lines[at]), &line) != nil || line.Status != "revoked" || line.Reason != "keyCompromise" || line.Holder != "900000000017" {
		t.Errorf("the archive tells %+v of %s", line, issued[0].Serial)
	}
	if done.Certificates != 2 || len(lines) != 4 {
		t.Errorf("%d certificates, %d lines", done.Certificates, len(lines))
	}
	for shard := range uint16(ca.Shards) {
		if list := w.list(ca.Authentication, shard); list.NextUpdate.Format("20060102150405") != "99991231235959" {
			t.Fatalf("the last list of shard %d is followed by one before %s", shard, list.NextUpdate)
		}
	}
	if _, err := server.Responder(t.Context(), issued[0].Ref.Issuer, newKey(t, elliptic.P256()).Public()); !errors.Is(err, register.ErrGenerationEnded) {
		t.Errorf("a responder of a retired authority: %v", err)
	}
	if err := server.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := server.PublishList(t.Context(), ca.Authentication, certs.ShardList(0)); !errors.Is(err, ca.ErrNoKey) {
		t.Errorf("a list after the last: %v", err)
	}
	alarms, err := server.Alarms(t.Context())
	for _, alarm := range alarms {
		if alarm.Issuer == ca.Authentication {
			t.Errorf("alarm about a retired authority: %s", alarm.Message)
		}
	}
	if err != nil {
		t.Error(err)
	}
}
