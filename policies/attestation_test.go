package policies_test

import (
	"bytes"
	"crypto/x509"
	"path/filepath"
	"testing"

	"cardinal/issuance/card"
	"cardinal/policies"
)

func enrolled(t testing.TB, root *card.AttestationRoot) card.Enrolment {
	t.Helper()
	c, err := card.OpenSimulated(filepath.Join(t.TempDir(), "card.json"), card.Options{Create: true, Root: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	e, err := card.Prepare(c, card.DefaultPIN, card.P256)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func newAttestationRoot(t testing.TB) (*card.AttestationRoot, *x509.CertPool) {
	t.Helper()
	root, err := card.NewAttestationRoot()
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(root.Certificate())
	return root, pool
}

func TestAttestationIsBelievedUnderItsRootAlone(t *testing.T) {
	t.Parallel()
	root, pool := newAttestationRoot(t)
	_, other := newAttestationRoot(t)
	e := enrolled(t, root)
	chain := e.Authentication.Attestation
	a, err := policies.VerifyAttestation(chain, pool, noon())
	if err != nil {
		t.Fatal(err)
	}
	if a.Serial != e.Serial || a.Slot != 0x9A || a.PINPolicy != 2 || a.TouchPolicy != 1 || a.Firmware != [3]byte{5, 4, 3} {
		t.Errorf("card %s: %+v", e.Serial, a)
	}
	for name, pool := range map[string]*x509.CertPool{"another": other, "empty": x509.NewCertPool(), "nil": nil} {
		_, err := policies.VerifyAttestation(chain, pool, noon())
		if err == nil {
			t.Errorf("believed under the %s pool", name)
			continue
		}
		wantRefusal(t, err, "attestation-trust")
	}
	_, err = policies.VerifyAttestation(chain[:1], pool, noon())
	wantRefusal(t, err, "attestation-trust")
	_, err = policies.VerifyAttestation(chain[1:], pool, noon())
	wantRefusal(t, err, "attestation-form")
	_, err = policies.VerifyAttestation(nil, pool, noon())
	wantRefusal(t, err, "attestation-chain")
	_, err = policies.VerifyAttestation(chain, pool, noon().AddDate(100, 0, 0))
	wantRefusal(t, err, "attestation-trust")
	broken := [][]byte{bytes.Clone(chain[0]), chain[1]}
	broken[0][len(broken[0])-1] ^= 1
	_, err = policies.VerifyAttestation(broken, pool, noon())
	wantRefusal(t, err, "attestation-trust")
}

func TestPairAttestationHoldsBothTogether(t *testing.T) {
	t.Parallel()
	root, pool := newAttestationRoot(t)
	read := func(e card.Enrolment) (pair [2]policies.Attestation, keys [2][32]byte) {
		for i, r := range []card.Request{e.Authentication, e.Signature} {
			a, err := policies.VerifyAttestation(r.Attestation, pool, noon())
			if err != nil {
				t.Fatal(err)
			}
			public, err := policies.ProveCSR(r.CSR)
			if err != nil {
				t.Fatal(err)
			}
			pair[i], keys[i] = a, policies.KeyDigest(public)
		}
		return pair, keys
	}
	one, keys := read(enrolled(t, root))
	two, _ := read(enrolled(t, root))
	if err := policies.PairAttestation(one[0], one[1], keys); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, policies.PairAttestation(one[0], two[1], keys), "attestation-card")
	wantRefusal(t, policies.PairAttestation(one[1], one[0], keys), "attestation-slot")
	wantRefusal(t, policies.PairAttestation(one[0], one[1], [2][32]byte{keys[1], keys[0]}), "attestation-key")
	lax := one[1]
	lax.PINPolicy = 2
	wantRefusal(t, policies.PairAttestation(one[0], lax, keys), "attestation-pin")
	lax = one[0]
	lax.PINPolicy = 1
	wantRefusal(t, policies.PairAttestation(lax, one[1], keys), "attestation-pin")
	same := one[1]
	same.KeyDigest = keys[0]
	wantRefusal(t, policies.PairAttestation(one[0], same, [2][32]byte{keys[0], keys[0]}), "attestation-key")
}

func FuzzVerifyAttestation(f *testing.F) {
	root, pool := newAttestationRoot(f)
	e := enrolled(f, root)
	f.Add(e.Authentication.Attestation[0], e.Authentication.Attestation[1])
	f.Add([]byte{}, []byte{0x30})
	f.Fuzz(func(t *testing.T, leaf, parent []byte) {
		a, err := policies.VerifyAttestation([][]byte{leaf, parent}, pool, noon())
		if (err == nil) != (a.Serial != "") && err == nil {
			t.Errorf("believed without a serial: %+v", a)
		}
	})
}
