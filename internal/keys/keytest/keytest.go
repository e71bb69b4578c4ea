// Package keytest is what every place for private keys must do, as a test
// suite: a created key signs, is found again, is never replaced, and is not
// opened with a wrong passphrase.
package keytest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"cardinal/internal/keys"
)

// Place is one kind of URI under test: URI gives the URI of a key by a short
// name, in a place made for this test, and Pass what opens it.
type Place struct {
	URI   func(name string) string
	Pass  []byte
	Wrong []byte
}

// Run runs the suite; open makes a new, empty place.
func Run(t *testing.T, open func(t *testing.T) Place) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	s := suite{ctx: ctx, place: open(t)}
	t.Run("CreatedKeyIsOpenedAgain", s.reopen)
	t.Run("ExistingKeyIsNeverReplaced", s.neverReplaced)
	t.Run("WrongPassphraseIsTold", s.wrongPassphrase)
	t.Run("MissingKeyIsTold", s.missing)
	t.Run("UnknownAlgorithmMakesNothing", s.unknownAlgorithm)
	t.Run("SignsFromManyGoroutines", s.concurrent)
	t.Run("DestroyedKeyIsGone", s.destroyed)
}

type suite struct {
	ctx   context.Context
	place Place
}

func (s suite) create(t *testing.T, name string, a keys.Algorithm) crypto.Signer {
	t.Helper()
	signer, err := keys.Create(s.ctx, s.place.URI(name), a, s.place.Pass)
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, signer)
	return signer
}

func closeLater(t *testing.T, signer crypto.Signer) {
	t.Helper()
	if c, ok := signer.(io.Closer); ok {
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func (s suite) reopen(t *testing.T) {
	for _, a := range []keys.Algorithm{keys.P256, keys.P384, keys.RSA3072} {
		made := s.create(t, "reopen-"+a.String(), a)
		found, err := keys.Open(s.ctx, s.place.URI("reopen-"+a.String()), s.place.Pass)
		if err != nil {
			t.Fatalf("%s: %v", a, err)
		}
		closeLater(t, found)
		checkKind(t, a, found.Public())
		if err := signAndVerify(found, made.Public()); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func checkKind(t *testing.T, a keys.Algorithm, pub crypto.PublicKey) {
	t.Helper()
	var got keys.Algorithm
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		got = map[string]keys.Algorithm{"P-256": keys.P256, "P-384": keys.P384}[pub.Curve.Params().Name]
	case *rsa.PublicKey:
		if pub.N.BitLen() == 3072 {
			got = keys.RSA3072
		}
	}
	if got != a {
		t.Errorf("asked for %s, got %T", a, pub)
	}
}

func signAndVerify(signer crypto.Signer, pub crypto.PublicKey) error {
	digest := sha256.Sum256([]byte("to be signed"))
	sig, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return err
	}
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(pub, digest[:], sig) {
			return errors.New("the signature does not verify")
		}
		return nil
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest[:], sig)
	}
	return errors.New("a public key of an unknown kind")
}

func (s suite) neverReplaced(t *testing.T) {
	made := s.create(t, "kept", keys.P256)
	if _, err := keys.Create(s.ctx, s.place.URI("kept"), keys.P256, s.place.Pass); !errors.Is(err, keys.ErrExists) {
		t.Errorf("a second key of the same name: %v", err)
	}
	found, err := keys.Open(s.ctx, s.place.URI("kept"), s.place.Pass)
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, found)
	if !made.Public().(*ecdsa.PublicKey).Equal(found.Public()) {
		t.Error("the key was replaced")
	}
}

func (s suite) wrongPassphrase(t *testing.T) {
	signer, err := keys.Create(s.ctx, s.place.URI("locked"), keys.P256, s.place.Pass)
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := signer.(io.Closer); ok { // a token is logged in for a whole process, whatever PIN comes second
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := keys.Open(s.ctx, s.place.URI("locked"), s.place.Wrong); !errors.Is(err, keys.ErrPassphrase) {
		t.Errorf("a wrong passphrase: %v", err)
	}
}

func (s suite) destroyed(t *testing.T) {
	s.create(t, "spent", keys.P256)
	if err := keys.Destroy(s.ctx, s.place.URI("spent"), s.place.Pass); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Open(s.ctx, s.place.URI("spent"), s.place.Pass); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("after it was destroyed: %v", err)
	}
	if err := keys.Destroy(s.ctx, s.place.URI("spent"), s.place.Pass); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("destroyed twice: %v", err)
	}
}

func (s suite) missing(t *testing.T) {
	if _, err := keys.Open(s.ctx, s.place.URI("never-made"), s.place.Pass); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("a key never made: %v", err)
	}
}

func (s suite) unknownAlgorithm(t *testing.T) {
	if _, err := keys.Create(s.ctx, s.place.URI("odd"), 0, s.place.Pass); err == nil {
		t.Fatal("a key of no algorithm was made")
	}
	if _, err := keys.Open(s.ctx, s.place.URI("odd"), s.place.Pass); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("something was left behind: %v", err)
	}
}

func (s suite) concurrent(t *testing.T) {
	signer := s.create(t, "shared", keys.P256)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if err := signAndVerify(signer, signer.Public()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
