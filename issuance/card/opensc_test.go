//go:build linux

package card_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cardinal/issuance/card"
	"cardinal/issuance/card/cardtest"
)

const openSC = "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so"

// TestOpenSCSignsWithTheCard enrols a card in process, puts it into a real
// reader daemon, and lets a foreign driver find and use it.
func TestOpenSCSignsWithTheCard(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	if _, err := exec.LookPath("pkcs11-tool"); err != nil {
		t.Skipf("needs %s: apt-get install -y %s", "pkcs11-tool", "opensc opensc-pkcs11")
	}
	reader := cardtest.InReader(t)
	if reader == nil {
		return
	}
	path := filepath.Join(t.TempDir(), "card.json")
	publics := pair(t, path)
	applet, err := card.OpenApplet(path, card.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = applet.Close() })
	reader.Insert(t, applet)
	listing := untilSeen(t, "-O", "-l", "--pin", card.DefaultPIN)
	if !strings.Contains(listing, "Certificate for PIV Authentication") || !strings.Contains(listing, "Certificate for Digital Signature") {
		t.Fatalf("OpenSC sees\n%s", listing)
	}
	content := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(content, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("content"))
	for i, id := range []string{"01", "02"} {
		out := filepath.Join(t.TempDir(), "signature")
		if text, err := pkcs11(t, "-l", "--pin", card.DefaultPIN, "--id", id, "--sign", "-m", "ECDSA-SHA256", "--signature-format", "openssl", "-i", content, "-o", out); err != nil {
			t.Fatalf("key %s: %v\n%s", id, err, text)
		}
		signature, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if !ecdsa.VerifyASN1(publics[i], digest[:], signature) {
			t.Errorf("key %s: the signature is not the card's", id)
		}
	}
	if text, err := pkcs11(t, "-l", "--pin", "000000", "--id", "01", "--sign", "-m", "ECDSA-SHA256", "-i", content, "-o", content+".sig"); err == nil || !strings.Contains(text, "CKR_PIN_INCORRECT") {
		t.Errorf("wrong PIN: %v\n%s", err, text)
	}
}

// pair makes a card with two keys and self-made certificates.
func pair(t *testing.T, path string) (publics [2]*ecdsa.PublicKey) {
	t.Helper()
	c := open(t, path, card.Options{Create: true})
	issuer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(csr []byte, at int) []byte {
		request, err := x509.ParseCertificateRequest(csr)
		if err != nil {
			t.Fatal(err)
		}
		publics[at] = request.PublicKey.(*ecdsa.PublicKey)
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(7 + at)), Subject: pkix.Name{CommonName: "900000000017"},
			NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment}
		der, err := x509.CreateCertificate(rand.Reader, template, template, request.PublicKey, issuer)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	_, err = card.Enrol(t.Context(), c, card.Order{PIN: card.DefaultPIN, Algorithm: card.P256},
		func(_ context.Context, e card.Enrolment) (authentication, signature []byte, err error) {
			return sign(e.Authentication.CSR, 0), sign(e.Signature.CSR, 1), nil
		})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return publics
}

func pkcs11(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "pkcs11-tool", append([]string{"--module", openSC}, args...)...).CombinedOutput()
	return string(out), err
}

// untilSeen runs the tool until the daemon has noticed the card.
func untilSeen(t *testing.T, args ...string) string {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		out, err := pkcs11(t, args...)
		if err == nil && strings.Contains(out, "Certificate Object") {
			return out
		}
		if time.Now().After(end) {
			t.Fatalf("%v\n%s", err, out)
		}
	}
}
