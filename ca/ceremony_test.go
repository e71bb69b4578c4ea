package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

func TestHierarchyIsARootAboveThreeAuthorities(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := w.hierarchy.Issuers[ca.Root].Certificate
	if err := root.CheckSignatureFrom(root); err != nil {
		t.Error(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	for _, name := range ca.Names() {
		c := w.hierarchy.Issuers[name].Certificate
		years, curve := 10, elliptic.P256()
		if name == ca.Root {
			years, curve = 20, elliptic.P384()
		}
		if end := c.NotBefore.AddDate(years, 0, 0).Add(-time.Second); !c.NotAfter.Equal(end) || c.PublicKey.(*ecdsa.PublicKey).Curve != curve {
			t.Errorf("%s ends %s, not %s; %T", name, c.NotAfter, end, c.PublicKey)
		}
		if !c.IsCA || c.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign {
			t.Errorf("%s: CA %v, usage %b", name, c.IsCA, c.KeyUsage)
		}
		if name == ca.Root {
			continue
		}
		if len(c.CRLDistributionPoints) != 1 || c.CRLDistributionPoints[0] != publicURL+"/crl/"+ca.Root+"/0.crl" ||
			len(c.IssuingCertificateURL) != 1 || c.IssuingCertificateURL[0] != publicURL+"/ca/root.cer" || !c.MaxPathLenZero {
			t.Errorf("%s: %v, %v", name, c.CRLDistributionPoints, c.IssuingCertificateURL)
		}
		if _, err := c.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: w.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHierarchyIsRecordedUnderTheRootAndEveryListExists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rootID := certs.IssuerIDOf(w.hierarchy.Issuers[ca.Root].Certificate)
	w.read(func(tx *ledger.Tx) error {
		issuers, err := register.Issuers(tx)
		if err != nil || len(issuers) != 4 {
			t.Errorf("%d issuers, %v", len(issuers), err)
		}
		for _, name := range ca.Names() {
			c := w.hierarchy.Issuers[name].Certificate
			serial, err := certs.SerialFromBig(c.SerialNumber)
			if err != nil {
				return err
			}
			found, err := register.CertificateOf(tx, certs.Ref{Issuer: rootID, Serial: serial})
			if err != nil || !bytes.Equal(found.DER, c.Raw) {
				t.Errorf("%s is not recorded: %v", name, err)
			}
		}
		shards, err := register.Shards(tx)
		if err != nil || len(shards) != 1+3*ca.Shards {
			t.Errorf("%d shards, %v", len(shards), err)
		}
		for _, s := range shards {
			life := 7 * 24 * time.Hour
			if s.Name == ca.Root {
				life = s.List.ThisUpdate.AddDate(0, 6, 0).Sub(s.List.ThisUpdate)
			}
			if s.List.Number == 0 || s.List.NextUpdate.Sub(s.List.ThisUpdate) != life {
				t.Errorf("list %d of %s: %+v", s.Shard, s.Name, s.List)
			}
		}
		return nil
	})
	list, err := x509.ParseRevocationList(w.hierarchy.RootList)
	if err != nil || list.CheckSignatureFrom(w.hierarchy.Issuers[ca.Root].Certificate) != nil || !bytes.Equal(w.listDER(ca.Root, 0), list.Raw) {
		t.Errorf("root list: %v", err)
	}
	changes, err := w.ledger.Feed().Read(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[journal.Kind]int{}
	for _, c := range changes {
		kinds[c.Kind]++
	}
	if kinds[journal.KindIssuerAdded] != 4 || kinds[journal.KindCertificatesRecorded] != 4 || kinds[journal.KindListPublished] != 50 || kinds[journal.KindGenerationChanged] != 4 || len(kinds) != 4 {
		t.Errorf("journal: %v", kinds)
	}
}

func TestCeremonyWithAKeyTheRulesForbidMakesNothing(t *testing.T) {
	t.Parallel()
	set, err := policies.Default()
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Create(t.Context(), ledger.Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "l.db"), Rooms: []ledger.Room{register.Room()}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = ca.InitHierarchy(t.Context(), ca.Ceremony{Ledger: l, Policies: set, Name: "Example", PublicURL: publicURL,
		Key: func(context.Context, string) (crypto.Signer, error) { return newKey(t, elliptic.P256()), nil }})
	var refusal *policies.Refusal
	if !errors.As(err, &refusal) || refusal.Rule != "key-profile" {
		t.Errorf("a P-256 root: %v", err)
	}
	if head, err := l.Head(t.Context()); err != nil || head.Position != 0 {
		t.Errorf("the journal holds %d changes, %v", head.Position, err)
	}
}

func TestRootListIsRenewedWithTheRootKeyAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.list(ca.Root, 0)
	w.advance(5*30*24*time.Hour + 12*time.Hour)
	alarms, err := w.authority.Alarms(t.Context())
	if err != nil || len(alarms) == 0 {
		t.Fatalf("no alarm a month before the root's list ends: %v", err)
	}
	root := w.hierarchy.Issuers[ca.Root]
	absent := w.newAuthority(map[string]ca.Issuer{ca.Root: {Certificate: root.Certificate, Shards: 1}})
	if _, err := absent.PublishList(t.Context(), ca.Root, certs.ShardList(0)); !errors.Is(err, ca.ErrNoKey) {
		t.Errorf("without the key: %v", err)
	}
	present := w.newAuthority(map[string]ca.Issuer{ca.Root: root})
	if _, err := present.PublishList(t.Context(), ca.Root, certs.ShardList(0)); err != nil {
		t.Fatal(err)
	}
	after := w.list(ca.Root, 0)
	if after.Number.Cmp(before.Number) <= 0 || !after.NextUpdate.Equal(after.ThisUpdate.AddDate(0, 6, 0)) {
		t.Errorf("list %s until %s", after.Number, after.NextUpdate)
	}
}
