package nodes_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"path/filepath"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/certs/nodes"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/journal/feed"
	"cardinal/internal/ledger"
)

// enrolled is a ledger with one authority and one node below it.
func enrolled(t *testing.T) (l *ledger.Ledger, authority certs.IssuerID, der []byte) {
	t.Helper()
	l, err := ledger.Create(t.Context(), ledger.Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "ledger.db"), Rooms: []ledger.Room{register.Room(), nodes.Room()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	from := time.Now().Add(-time.Hour)
	sign := func(serial int64, name string, isCA bool, parent *x509.Certificate) *x509.Certificate {
		template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, IsCA: isCA,
			BasicConstraintsValid: true, NotBefore: from, NotAfter: from.AddDate(1, 0, 0)}
		if parent == nil {
			parent = template
		}
		signed, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(signed)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	own := sign(1, "services", true, nil)
	node := sign(0x1234567890abcdef, "edge-1", false, own)
	serial, err := certs.SerialFromBig(node.SerialNumber)
	if err != nil {
		t.Fatal(err)
	}
	ref := certs.Ref{Issuer: certs.IssuerIDOf(own), Serial: serial}
	steps := []func(*ledger.Tx) error{
		func(tx *ledger.Tx) error {
			return register.AddIssuer(tx, certs.IssuerAdded{Name: "services", DER: own.Raw, Shards: 1})
		},
		func(tx *ledger.Tx) error {
			return register.Reserve(tx, register.Intent{Ref: ref, Profile: "client", Holder: "edge-1", TBS: node.RawTBSCertificate})
		},
		func(tx *ledger.Tx) error { return register.Record(tx, []register.Signed{{Ref: ref, DER: node.Raw}}) },
		func(tx *ledger.Tx) error { return nodes.Add(tx, feed.Node{Name: "edge-1", Scope: feed.Edge}) },
		func(tx *ledger.Tx) error { return nodes.Bind(tx, "edge-1", ref, node.Raw) },
	}
	for i, step := range steps {
		if _, err := l.Write(t.Context(), step); err != nil {
			t.Fatalf("step %d: %v", i+1, err)
		}
	}
	return l, ref.Issuer, node.Raw
}

// TestANodeBelowARevokedAuthorityIsNotAdmitted: on a connection that stands no
// handshake tells it.
func TestANodeBelowARevokedAuthorityIsNotAdmitted(t *testing.T) {
	t.Parallel()
	l, authority, der := enrolled(t)
	admitting := nodes.Register{Ledger: l, Now: time.Now}
	if n, err := admitting.Admit(t.Context(), der); err != nil || n.Name != "edge-1" {
		t.Fatalf("before: %+v, %v", n, err)
	}
	_, err := l.Write(t.Context(), func(tx *ledger.Tx) error {
		return register.StopIssuer(tx, authority, register.StoppedRevoked, journal.Hash{})
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admitting.Admit(t.Context(), der); !errors.Is(err, feed.ErrRevoked) {
		t.Errorf("below a revoked authority: %v", err)
	}
}
