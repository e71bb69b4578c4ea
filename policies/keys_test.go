package policies_test

import (
	"bytes"
	"crypto"
	"crypto/dsa" //lint:ignore SA1019 such a key must be refused
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cardinal/policies"
)

// TestKeyVectors reads testdata/keys/*.txt: headers, "expect:" among them, then a public key as PEM.
func TestKeyVectors(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/keys/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("vectors: %d, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			expect, pub := readKeyVector(t, file)
			err := policies.CheckKey(pub, policies.KeyList{})
			if expect == "sound" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantRefusal(t, err, expect)
		})
	}
}

func readKeyVector(t *testing.T, file string) (expect string, pub crypto.PublicKey) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "expect:"); found {
			expect = strings.TrimSpace(value)
		}
	}
	block, _ := pem.Decode(text)
	if block == nil || expect == "" {
		t.Fatal("no expect: or no PEM")
	}
	pub, err = x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return expect, pub
}

func TestOtherKindsAreRefusedByName(t *testing.T) {
	t.Parallel()
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, pub := range map[string]crypto.PublicKey{
		"ed25519": edwards, "P-224": newKey(t, elliptic.P224()).Public(), "P-521": newKey(t, elliptic.P521()).Public(),
		"dsa": &dsa.PublicKey{}, "nil": nil, "text": "key",
	} {
		err := policies.CheckKey(pub, policies.KeyList{})
		wantRefusal(t, err, "key-kind")
		if (name == "P-224" || name == "P-521" || name == "ed25519") && !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named: %v", name, err)
		}
	}
}

func TestPointOffCurveIsRefused(t *testing.T) {
	t.Parallel()
	key := newKey(t, elliptic.P256())
	//lint:ignore SA1019 only the raw coordinates make a point off the curve
	off := &ecdsa.PublicKey{Curve: elliptic.P256(), X: key.X, Y: new(big.Int).Add(key.Y, big.NewInt(1))}
	wantRefusal(t, policies.CheckKey(off, policies.KeyList{}), "key-off-curve")
}

func TestBlockedKeyIsRefused(t *testing.T) {
	t.Parallel()
	pub := newKey(t, elliptic.P256()).Public()
	digest := policies.KeyDigest(pub)
	text := "# found in a flat\n\n" + strings.ToUpper(hex.EncodeToString(digest[:])) + " # card 17\n"
	list, err := policies.ParseKeyList(strings.NewReader(text))
	if err != nil || list.Len() != 1 {
		t.Fatalf("%d keys, %v", list.Len(), err)
	}
	wantRefusal(t, policies.CheckKey(pub, list), "key-blocked")
	set, err := defaultSet(t).With(policies.Configuration{Blocked: list})
	if err != nil {
		t.Fatal(err)
	}
	issuing := newIssuing(t, set, newRoot(t, set))
	r := request(t, policies.ProfileAuthentication, issuing)
	r.PublicKey = pub
	_, err = set.Decide(r)
	wantRefusal(t, err, "key-blocked")
	if set.Hash() == defaultSet(t).Hash() {
		t.Error("a blocked key does not change the policy's hash")
	}
}

func TestKeyListNamesTheBadLine(t *testing.T) {
	t.Parallel()
	_, err := policies.ParseKeyList(strings.NewReader("\nabcd\n"))
	if err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("got %v", err)
	}
}

func TestProveCSR(t *testing.T) {
	t.Parallel()
	key := newKey(t, elliptic.P256())
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sound := newCSR(t, key)
	pub, err := policies.ProveCSR(sound)
	if err != nil || !key.PublicKey.Equal(pub) {
		t.Fatalf("sound: %v", err)
	}
	broken := bytes.Clone(sound)
	broken[len(broken)-1] ^= 1
	_, err = policies.ProveCSR(broken)
	wantRefusal(t, err, "csr-proof")
	_, err = policies.ProveCSR(append(bytes.Clone(sound), 0))
	wantRefusal(t, err, "csr-form")
	_, err = policies.ProveCSR(sound[:len(sound)/2])
	wantRefusal(t, err, "csr-form")
	_, err = policies.ProveCSR(make([]byte, 1<<20))
	wantRefusal(t, err, "csr-size")
	_, err = policies.ProveCSR(newCSR(t, edwards))
	wantRefusal(t, err, "key-kind")
	_, err = policies.ProveCSR(newCSR(t, newKey(t, elliptic.P521())))
	wantRefusal(t, err, "key-kind")
}

func TestProveCSRTakesRSA(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	if _, err := policies.ProveCSR(newCSR(t, newRSA(t))); err != nil {
		t.Error(err)
	}
}

func newCSR(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func FuzzProveCSR(f *testing.F) {
	f.Add(newCSR(f, newKey(f, elliptic.P256())))
	f.Add(newCSR(f, newKey(f, elliptic.P521())))
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, der []byte) {
		pub, err := policies.ProveCSR(der)
		if (pub == nil) == (err == nil) {
			t.Errorf("key %v, error %v", pub, err)
		}
	})
}

func FuzzParseKeyList(f *testing.F) {
	f.Add("# nothing\n" + strings.Repeat("ab", 32) + "\n")
	f.Add("zz")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := policies.ParseKeyList(strings.NewReader(text))
		if err != nil && list.Len() != 0 {
			t.Error("keys beside an error")
		}
	})
}
