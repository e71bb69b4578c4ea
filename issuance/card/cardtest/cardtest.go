// Package cardtest is the contract of card.Card: what holds for every card,
// simulated or not, by whichever road it is reached (NIST SP 800-73-4).
package cardtest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"

	"cardinal/issuance/card"
)

// Run holds every card open gives against the contract. Each must be new: PIN
// 123456, PUK 12345678, three tries, no keys. open closes what it opened.
func Run(t *testing.T, open func(t *testing.T) card.Card) {
	for name, test := range map[string]func(*testing.T, card.Card){
		"PIN":          pin,
		"Blocked":      blocked,
		"Empty":        emptySlots,
		"P-256":        func(t *testing.T, c card.Card) { keys(t, c, card.P256) },
		"P-384":        func(t *testing.T, c card.Card) { keys(t, c, card.P384) },
		"RSA-2048":     func(t *testing.T, c card.Card) { keys(t, c, card.RSA2048) },
		"Attestation":  attestation,
		"Enrol":        enrol,
		"WrongPINSign": wrongPINSign,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// must gives what a call gave, or fails the test it is then told.
func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantPINError(t *testing.T, err error, retries int) {
	t.Helper()
	var wrong *card.PINError
	if !errors.As(err, &wrong) || wrong.Retries != retries {
		t.Fatalf("got %v, want a wrong PIN with %d tries left", err, retries)
	}
}

func pin(t *testing.T, c card.Card) {
	serial, err := c.Serial()
	if err != nil || serial == "" || serial == "0" {
		t.Fatalf("serial %q, %v", serial, err)
	}
	if left, err := c.Retries(); err != nil || left != 3 {
		t.Fatalf("%d tries, %v", left, err)
	}
	wantPINError(t, c.VerifyPIN("000000"), 2)
	check(t, c.VerifyPIN(card.DefaultPIN))
	if left, err := c.Retries(); err != nil || left != 3 {
		t.Fatalf("%d tries after the right PIN, %v", left, err)
	}
	for _, bad := range []string{"", "12345", "1234567890", "abcdef"} {
		if err := c.ChangePIN(card.DefaultPIN, bad); err == nil {
			t.Errorf("%q became a PIN", bad)
		}
	}
	check(t, c.ChangePIN(card.DefaultPIN, "654321"))
	wantPINError(t, c.VerifyPIN(card.DefaultPIN), 2)
	check(t, c.VerifyPIN("654321"))
}

func blocked(t *testing.T, c card.Card) {
	for left := 2; left >= 0; left-- {
		wantPINError(t, c.VerifyPIN("000000"), left)
	}
	if err := c.VerifyPIN(card.DefaultPIN); !errors.Is(err, card.ErrBlocked) {
		t.Fatalf("the right PIN on a blocked card: %v", err)
	}
	wantPINError(t, c.Unblock("00000000", "112233"), 2)
	check(t, c.Unblock(card.DefaultPUK, "112233"))
	check(t, c.VerifyPIN("112233"))
}

func emptySlots(t *testing.T, c card.Card) {
	if _, err := c.Certificate(card.SlotAuthentication); !errors.Is(err, card.ErrEmpty) {
		t.Errorf("certificate of an empty slot: %v", err)
	}
	if _, err := c.Signer(card.SlotSignature, card.DefaultPIN); !errors.Is(err, card.ErrEmpty) {
		t.Errorf("key of an empty slot: %v", err)
	}
	if _, err := c.Attest(card.SlotAuthentication); !errors.Is(err, card.ErrEmpty) {
		t.Errorf("attestation of an empty slot: %v", err)
	}
	if _, err := c.GenerateKey(card.Slot(0x9B), card.P256); err == nil {
		t.Error("a key in the management slot")
	}
	if _, err := c.GenerateKey(card.SlotAuthentication, "P-521"); err == nil {
		t.Error("a key PIV does not have")
	}
}

func keys(t *testing.T, c card.Card, algorithm card.Algorithm) {
	digest := sha256.Sum256([]byte("content"))
	for _, slot := range []card.Slot{card.SlotAuthentication, card.SlotSignature} {
		public := must(c.GenerateKey(slot, algorithm))(t)
		signer := must(c.Signer(slot, card.DefaultPIN))(t)
		if k, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !k.Equal(public) {
			t.Fatalf("slot %s: the signer has another key", slot)
		}
		for range 2 { // the signature slot wants the PIN each time
			verify(t, public, digest[:], must(signer.Sign(rand.Reader, digest[:], crypto.SHA256))(t))
		}
		if k, ok := public.(*rsa.PublicKey); ok {
			o := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
			check(t, rsa.VerifyPSS(k, crypto.SHA256, digest[:], must(signer.Sign(rand.Reader, digest[:], o))(t), o))
		}
		der := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, signer))(t)
		check(t, must(x509.ParseCertificateRequest(der))(t).CheckSignature())
	}
}

func verify(t *testing.T, public crypto.PublicKey, digest, signature []byte) {
	t.Helper()
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(k, digest, signature) {
			t.Fatal("the signature is not the key's")
		}
	case *rsa.PublicKey:
		check(t, rsa.VerifyPKCS1v15(k, crypto.SHA256, digest, signature))
	default:
		t.Fatalf("a key of type %T", public)
	}
}

func attestation(t *testing.T, c card.Card) {
	public := must(c.GenerateKey(card.SlotAuthentication, card.P256))(t)
	chain := must(c.Attest(card.SlotAuthentication))(t)
	if len(chain) != 2 {
		t.Fatalf("%d certificates", len(chain))
	}
	check(t, chain[0].CheckSignatureFrom(chain[1]))
	if k, ok := chain[0].PublicKey.(*ecdsa.PublicKey); !ok || !k.Equal(public) {
		t.Error("the attestation is of another key")
	}
}

func wrongPINSign(t *testing.T, c card.Card) {
	must(c.GenerateKey(card.SlotSignature, card.P256))(t)
	signer := must(c.Signer(card.SlotSignature, "000000"))(t)
	digest := sha256.Sum256(nil)
	_, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	wantPINError(t, err, 2)
}

func enrol(t *testing.T, c card.Card) {
	issuer := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	issue := func(_ context.Context, e card.Enrolment) (authentication, signature []byte, err error) {
		sign := func(csr []byte) []byte {
			request := must(x509.ParseCertificateRequest(csr))(t)
			check(t, request.CheckSignature())
			template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "900000000017"},
				NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), Issuer: pkix.Name{CommonName: "issuer"},
				CRLDistributionPoints: []string{"http://pki.example.org/" + string(bytes.Repeat([]byte("x"), 600))}} // longer than two APDUs
			return must(x509.CreateCertificate(rand.Reader, template, template, request.PublicKey, issuer))(t)
		}
		return sign(e.Authentication.CSR), sign(e.Signature.CSR), nil
	}
	order := card.Order{PIN: card.DefaultPIN, Algorithm: card.P256}
	e, err := card.Enrol(t.Context(), c, order, issue)
	check(t, err)
	if serial := must(c.Serial())(t); e.Serial != serial || len(e.Signature.Attestation) != 2 {
		t.Errorf("enrolled %s with %d attestations, the card is %s", e.Serial, len(e.Signature.Attestation), serial)
	}
	before := must(c.Certificate(card.SlotAuthentication))(t)
	swapped := func(ctx context.Context, e card.Enrolment) (authentication, signature []byte, err error) {
		authentication, signature, err = issue(ctx, e)
		return signature, authentication, err
	}
	if _, err := card.Enrol(t.Context(), c, order, swapped); err == nil {
		t.Error("certificates were written into each other's slots")
	}
	if !bytes.Equal(before, must(c.Certificate(card.SlotAuthentication))(t)) {
		t.Error("a refused pair was written")
	}
	if _, err := card.Enrol(t.Context(), c, card.Order{PIN: "000000", Algorithm: card.P256}, issue); err == nil {
		t.Error("enrolled without the PIN")
	}
}
