package ca_test

import (
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

func TestPairIsIssuedRecordedAndGood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var inside []ca.Issued
	issued, position, err := w.authority.Issue(t.Context(), w.pair("900000000017", "card-1"), func(tx *ledger.Tx, issued []ca.Issued) error {
		inside = issued
		_, err := register.StatusOf(tx, issued[0].Ref) // recorded before the caller's own writes
		return err
	})
	if err != nil || len(issued) != 2 || len(inside) != 2 || position == 0 {
		t.Fatalf("%d certificates at %d, %v", len(issued), position, err)
	}
	a, s := issued[0].Certificate, issued[1].Certificate
	if !a.NotBefore.Equal(s.NotBefore) || !a.NotAfter.Equal(s.NotAfter) || a.Subject.CommonName != "900000000017" ||
		s.Subject.CommonName != "900000000017_Alex_Example" {
		t.Errorf("pair: %s %s–%s, %s %s–%s", a.Subject, a.NotBefore, a.NotAfter, s.Subject, s.NotBefore, s.NotAfter)
	}
	for _, one := range issued {
		issuer := w.hierarchy.Issuers[one.Issuer].Certificate
		if err := one.Certificate.CheckSignatureFrom(issuer); err != nil {
			t.Error(err)
		}
		w.read(func(tx *ledger.Tx) error {
			c, err := register.CertificateOf(tx, one.Ref)
			if err != nil || string(c.DER) != string(one.Certificate.Raw) || c.Status.State != certs.StateGood || c.Card != "card-1" ||
				c.Holder != "900000000017" || c.Request != "r card-1" || c.Shard != one.Shard || c.Policy != w.policies.Hash() {
				t.Errorf("recorded %+v, %v", c, err)
			}
			shard, err := register.LastList(tx, one.Ref.Issuer, certs.ShardList(one.Shard))
			url := publicURL + "/crl/" + one.Issuer + "/"
			if err != nil || shard.List.Number == 0 || !strings.HasPrefix(one.Certificate.CRLDistributionPoints[0], url) {
				t.Errorf("its list %s: %+v, %v", one.Certificate.CRLDistributionPoints, shard, err)
			}
			return nil
		})
	}
}

// openIntents and certificates of a card, as the register has them.
func (w *world) card(card string) (open int, found []register.Certificate) {
	w.Helper()
	w.read(func(tx *ledger.Tx) error {
		intents, err := register.OpenIntents(tx)
		if err != nil {
			return err
		}
		open = len(intents)
		found, err = register.ByCard(tx, card)
		return err
	})
	return open, found
}

func (w *world) expectSpoiledPair(card string) {
	w.Helper()
	open, found := w.card(card)
	if open != 0 || len(found) != 2 {
		w.Fatalf("%d open intents, %d certificates", open, len(found))
	}
	for _, c := range found {
		if !c.Spoiled || c.DER != nil || c.Status.State != certs.StateRevoked || c.Why == "" {
			w.Errorf("serial %s: %+v", c.Serial, c)
		}
	}
}

func TestRefusedOrderLeavesNoTraceOfThePair(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cases := map[string]struct {
		change func(orders []ca.Order)
		rule   string
	}{
		"no user id":       {func(o []ca.Order) { o[1].Request.Subject.UUID = "12" }, "user-id"},
		"wrong authority":  {func(o []ca.Order) { o[1].Issuer = ca.Services }, "issuer"},
		"unknown profile":  {func(o []ca.Order) { o[1].Request.Profile = "tea" }, "profile"},
		"key of authority": {func(o []ca.Order) { o[1].Request.PublicKey = w.hierarchy.Issuers[ca.Signing].Certificate.PublicKey }, "key-of-issuer"},
	}
	for name, c := range cases {
		orders := w.pair("900000000017", "card "+name)
		c.change(orders)
		_, _, err := w.authority.Issue(t.Context(), orders, nil)
		var refusal *policies.Refusal
		if !errors.As(err, &refusal) || refusal.Rule != c.rule {
			t.Errorf("%s: %v", name, err)
		}
		if open, found := w.card("card " + name); open != 0 || len(found) != 0 {
			t.Errorf("%s: %d open intents, %d certificates", name, open, len(found))
		}
	}
	orders := w.pair("900000000017", "x")
	orders[1].Issuer = "nobody"
	if _, _, err := w.authority.Issue(t.Context(), orders, nil); !errors.Is(err, ca.ErrUnknownIssuer) {
		t.Errorf("an unknown authority: %v", err)
	}
}

func TestKeySeenOnAnotherCardIsRefusedByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.pair("900000000017", "card-1")
	w.issue(first)
	second := w.pair("900000000025", "card-2")
	second[1].Request.PublicKey = first[0].Request.PublicKey
	_, _, err := w.authority.Issue(t.Context(), second, nil)
	var refusal *policies.Refusal
	if !errors.As(err, &refusal) || refusal.Rule != "key-seen" || !strings.Contains(refusal.Detail, "card-1") {
		t.Fatalf("%v", err)
	}
	if open, found := w.card("card-2"); open != 0 || len(found) != 0 {
		t.Errorf("%d open intents, %d certificates", open, len(found))
	}
}

func TestPairThatWouldOutliveItsIssuerIsRefusedAfterAYearOfAlarm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kinds := func() (found []string) {
		alarms, err := w.authority.Alarms(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range alarms {
			if a.Kind == "issuer-ending" {
				found = append(found, a.Issuer)
			}
		}
		return found
	}
	if found := kinds(); len(found) != 0 {
		t.Errorf("alarms on the first day: %v", found)
	}
	w.advance(w.hierarchy.Issuers[ca.Authentication].Certificate.NotAfter.AddDate(-4, 0, 2).Sub(w.Now()))
	if found := strings.Join(kinds(), " "); !strings.Contains(found, ca.Authentication) || !strings.Contains(found, ca.Signing) {
		t.Errorf("alarms four years before the end: %v", found)
	}
	w.issue(w.pair("900000000017", "in time"))
	w.advance(366 * 24 * time.Hour)
	_, _, err := w.authority.Issue(t.Context(), w.pair("900000000017", "late"), nil)
	var refusal *policies.Refusal
	if !errors.As(err, &refusal) || refusal.Rule != "outlives-issuer" {
		t.Errorf("%v", err)
	}
}

func TestCallersErrorUndoesTheIssueAndRevokesTheSerials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mine := errors.New("the card went away")
	_, _, err := w.authority.Issue(t.Context(), w.pair("900000000017", "card-1"), func(*ledger.Tx, []ca.Issued) error { return mine })
	if !errors.Is(err, mine) {
		t.Fatal(err)
	}
	w.expectSpoiledPair("card-1")
}

// brokenSigner signs garbage or nothing; it can also change what stands around
// it while it is asked for its public key, which is when the content is built.
type brokenSigner struct {
	crypto.Signer
	err    error
	garble bool
	meddle func()
}

func (s *brokenSigner) Public() crypto.PublicKey {
	if s.meddle != nil {
		s.meddle()
	}
	return s.Signer.Public()
}

func (s *brokenSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	if s.garble {
		digest = append([]byte{digest[0] ^ 1}, digest[1:]...)
	}
	return s.Signer.Sign(random, digest, opts)
}

// withSigner gives an authority whose signing CA uses a broken signer.
func (w *world) withSigner(change func(s *brokenSigner, certificate *x509.Certificate)) *ca.Authority {
	w.Helper()
	issuers := map[string]ca.Issuer{}
	for name, issuer := range w.hierarchy.Issuers {
		issuers[name] = issuer
	}
	issuer := issuers[ca.Signing]
	certificate := *issuer.Certificate
	broken := &brokenSigner{Signer: issuer.Signer}
	issuers[ca.Signing] = ca.Issuer{Certificate: &certificate, Signer: broken, Shards: issuer.Shards}
	a := w.newAuthority(issuers)
	change(broken, &certificate)
	return a
}

func TestKeyThatFailsOrLiesSpoilsThePair(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := newWorld(t)
	gone := errors.New("the token was pulled out")
	a := w.withSigner(func(s *brokenSigner, _ *x509.Certificate) { s.err = gone })
	if _, _, err := a.Issue(t.Context(), w.pair("900000000017", "failed"), nil); !errors.Is(err, gone) {
		t.Errorf("a key that fails: %v", err)
	}
	w.expectSpoiledPair("failed")
	a = w.withSigner(func(s *brokenSigner, _ *x509.Certificate) { s.garble = true })
	if _, _, err := a.Issue(t.Context(), w.pair("900000000017", "garbled"), nil); err == nil {
		t.Error("a signature over something else was accepted")
	}
	w.expectSpoiledPair("garbled")
	if a.Stopped() != nil {
		t.Errorf("a failing key stopped the authority: %v", a.Stopped())
	}
}

func TestSignedContentOtherThanApprovedStopsTheAuthority(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.withSigner(func(s *brokenSigner, certificate *x509.Certificate) {
		s.meddle = func() { certificate.SubjectKeyId = []byte("another key identifier") }
	})
	_, _, err := a.Issue(t.Context(), w.pair("900000000017", "card-1"), nil)
	var mismatch *ca.MismatchError
	if !errors.As(err, &mismatch) || mismatch.Issuer != ca.Signing {
		t.Fatalf("%v", err)
	}
	w.expectSpoiledPair("card-1")
	if _, _, err := a.Issue(t.Context(), w.pair("900000000025", "card-2"), nil); !errors.Is(err, ca.ErrStopped) {
		t.Errorf("the next issue: %v", err)
	}
	alarms, err := a.Alarms(t.Context())
	if err != nil || len(alarms) == 0 || alarms[0].Kind != "stopped" {
		t.Errorf("alarms %+v, %v", alarms, err)
	}
}

func TestQuarantineAndClocksApartStopIssuing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.ledger.SetQuarantine(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.authority.Issue(t.Context(), w.pair("900000000017", "a"), nil); !errors.Is(err, ledger.ErrQuarantine) {
		t.Errorf("issuing in quarantine: %v", err)
	}
	if _, err := w.authority.PublishList(t.Context(), ca.Signing, certs.ShardList(0)); !errors.Is(err, ledger.ErrQuarantine) {
		t.Errorf("publishing in quarantine: %v", err)
	}
	if err := w.ledger.SetQuarantine(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	a, err := ca.New(ca.Config{Ledger: w.ledger, Issuers: w.hierarchy.Issuers, Policies: w.policies, PublicURL: publicURL,
		Now: func() time.Time { return w.Now().Add(-3 * time.Second) }})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Issue(t.Context(), w.pair("900000000017", "b"), nil); !errors.Is(err, ledger.ErrClock) {
		t.Errorf("issuing with a clock 3 s behind: %v", err)
	}
	if open, found := w.card("b"); open != 0 || len(found) != 0 {
		t.Errorf("%d open intents, %d certificates", open, len(found))
	}
}

func TestNewRefusesAKeyThatIsNotItsCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	signing, authentication := w.hierarchy.Issuers[ca.Signing], w.hierarchy.Issuers[ca.Authentication]
	for name, issuers := range map[string]map[string]ca.Issuer{
		"another's key":  {ca.Signing: {Certificate: signing.Certificate, Signer: authentication.Signer, Shards: 16}},
		"one key twice":  {ca.Signing: signing, ca.Services: signing},
		"no lists":       {ca.Signing: {Certificate: signing.Certificate, Signer: signing.Signer}},
		"no certificate": {ca.Signing: {Signer: signing.Signer, Shards: 16}},
	} {
		if _, err := ca.New(ca.Config{Ledger: w.ledger, Policies: w.policies, PublicURL: publicURL, Issuers: issuers}); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestResponderIsEnrolledForAnAuthorityOfOursAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := newKey(t, elliptic.P256())
	for _, name := range ca.Names()[1:] {
		issuer := w.hierarchy.Issuers[name].Certificate
		der, err := w.authority.Responder(t.Context(), certs.IssuerIDOf(issuer), key.Public())
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil || c.CheckSignatureFrom(issuer) != nil || len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageOCSPSigning ||
			c.NotAfter.Sub(c.NotBefore) > 48*time.Hour || c.SerialNumber.Cmp(big.NewInt(0)) <= 0 {
			t.Errorf("responder of %s: %+v, %v", name, c.Subject, err)
		}
	}
	if _, err := w.authority.Responder(t.Context(), certs.IssuerID{1}, key.Public()); !errors.Is(err, ca.ErrUnknownIssuer) {
		t.Errorf("a foreign authority: %v", err)
	}
}
