package ocsp_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cardinal/internal/journal"
	"cardinal/internal/replica"
	"cardinal/ocsp"
)

// prefer adds the extension of RFC 6960 §4.4.7.1.
func (r *ocspRequest) prefer(t *testing.T, algorithms ...preferred) *ocspRequest {
	t.Helper()
	value, err := asn1.Marshal(algorithms)
	if err != nil {
		t.Fatal(err)
	}
	r.TBS.Extensions = append(r.TBS.Extensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 8}, Value: value})
	return r
}

type preferred struct {
	Signature algorithmID
	Key       algorithmID `asn1:"optional"`
}

// signedWith is the signature algorithm of an answer, once its signature was checked by it.
func signedWith(t *testing.T, der []byte) x509.SignatureAlgorithm {
	t.Helper()
	var outer struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type     asn1.ObjectIdentifier
			Response []byte
		} `asn1:"explicit,tag:0,optional"`
	}
	var basic basicResponse
	if _, err := asn1.Unmarshal(der, &outer); err != nil || outer.Status != 0 {
		t.Fatalf("answer %x: %v", der, err)
	}
	if _, err := asn1.Unmarshal(outer.Bytes.Response, &basic); err != nil {
		t.Fatal(err)
	}
	signer, err := x509.ParseCertificate(basic.Certificates[0].FullBytes)
	if err != nil {
		t.Fatal(err)
	}
	for algorithm, oid := range signatureOIDs() {
		if !basic.Algorithm.Algorithm.Equal(oid) {
			continue
		}
		if err := signer.CheckSignature(algorithm, basic.Data.Raw, basic.Signature.RightAlign()); err != nil {
			t.Errorf("the signature by %v: %v", algorithm, err)
		}
		return algorithm
	}
	t.Fatalf("signed by %v", basic.Algorithm.Algorithm)
	return 0
}

func signatureOIDs() map[x509.SignatureAlgorithm]asn1.ObjectIdentifier {
	return map[x509.SignatureAlgorithm]asn1.ObjectIdentifier{
		x509.ECDSAWithSHA256: {1, 2, 840, 10045, 4, 3, 2}, x509.ECDSAWithSHA384: {1, 2, 840, 10045, 4, 3, 3},
		x509.ECDSAWithSHA512: {1, 2, 840, 10045, 4, 3, 4}, x509.SHA256WithRSA: {1, 2, 840, 113549, 1, 1, 11},
		x509.SHA384WithRSA: {1, 2, 840, 113549, 1, 1, 12}, x509.SHA512WithRSA: {1, 2, 840, 113549, 1, 1, 13},
		x509.ECDSAWithSHA1: {1, 2, 840, 10045, 4, 1}, x509.SHA1WithRSA: {1, 2, 840, 113549, 1, 1, 5},
	}
}

func preferring(algorithm x509.SignatureAlgorithm) preferred {
	return preferred{Signature: algorithmID{Algorithm: signatureOIDs()[algorithm]}}
}

func TestPreferredSignatureAlgorithmsAreHeeded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve()
	w.ready()
	serial := w.issued(w.auth).SerialNumber
	onP384 := preferring(x509.ECDSAWithSHA384)
	curve, _ := asn1.Marshal(asn1.ObjectIdentifier{1, 3, 132, 0, 34})
	onP384.Key = algorithmID{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, Parameters: asn1.RawValue{FullBytes: curve}}
	curve, _ = asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7})
	onP256 := preferring(x509.ECDSAWithSHA512)
	onP256.Key = algorithmID{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, Parameters: asn1.RawValue{FullBytes: curve}}
	ask := func(algorithms ...preferred) x509.SignatureAlgorithm {
		return signedWith(t, w.ask(requestFor(idOf(w.auth, crypto.SHA256, serial)).prefer(t, algorithms...).der(t)))
	}
	for name, test := range map[string]struct {
		asked []preferred
		got   x509.SignatureAlgorithm
	}{
		"the usual one":       {[]preferred{preferring(x509.ECDSAWithSHA256)}, x509.ECDSAWithSHA256},
		"another hash":        {[]preferred{preferring(x509.ECDSAWithSHA384), preferring(x509.ECDSAWithSHA256)}, x509.ECDSAWithSHA384},
		"the first we have":   {[]preferred{preferring(x509.SHA256WithRSA), preferring(x509.ECDSAWithSHA512)}, x509.ECDSAWithSHA512},
		"none we have":        {[]preferred{preferring(x509.SHA256WithRSA)}, x509.ECDSAWithSHA256},
		"a broken hash":       {[]preferred{preferring(x509.ECDSAWithSHA1)}, x509.ECDSAWithSHA256},
		"a curve we have":     {[]preferred{onP256}, x509.ECDSAWithSHA512},
		"a curve we have not": {[]preferred{onP384}, x509.ECDSAWithSHA256},
		"no algorithm at all": {[]preferred{}, x509.ECDSAWithSHA256},
	} {
		for range 2 { // the answer stored for others must not be given
			if got := ask(test.asked...); got != test.got {
				t.Errorf("%s: signed by %v, want %v", name, got, test.got)
			}
		}
	}
	broken := requestFor(idOf(w.auth, crypto.SHA256, serial))
	broken.TBS.Extensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 8}, Value: []byte{0x30, 9, 1}}}
	if got := errorStatus(t, w.ask(broken.der(t))); got != 1 {
		t.Errorf("an extension that is no list of algorithms gets status %d", got)
	}
}

func TestResponderKeysMayBeOfOtherKinds(t *testing.T) {
	t.Parallel()
	wide, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]crypto.Signer{"authentication": wide, "signing": rsaKey}
	w := newWorld(t, func(_ *world, c *ocsp.Config, _ *replica.Options) {
		c.Key = func(_ context.Context, name string) (crypto.Signer, error) { return keys[name], nil }
		c.ByName = true
	})
	w.serve()
	w.ready()
	for a, want := range map[*authority][2]x509.SignatureAlgorithm{w.auth: {x509.ECDSAWithSHA384, x509.ECDSAWithSHA256},
		w.signing: {x509.SHA256WithRSA, x509.SHA512WithRSA}} {
		c := w.issued(a)
		if got := signedWith(t, w.ask(requestFor(idOf(a, crypto.SHA1, c.SerialNumber)).der(t))); got != want[0] {
			t.Errorf("%s: signed by %v", a.name, got)
		}
		if got := signedWith(t, w.ask(requestFor(idOf(a, crypto.SHA1, c.SerialNumber)).prefer(t, preferring(want[1])).der(t))); got != want[1] {
			t.Errorf("%s: signed by %v, want %v", a.name, got, want[1])
		}
		r := w.statusOf(c, a)
		var name pkix.RDNSequence
		if _, err := asn1.Unmarshal(r.RawResponderName, &name); err != nil || name.String() != "CN=OCSP responder "+a.name {
			t.Errorf("%s: the responder is named %v, %v", a.name, name, err)
		}
	}
}

func TestWeakResponderKeysAreNotUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, c *ocsp.Config, _ *replica.Options) {
		c.Key = func(context.Context, string) (crypto.Signer, error) {
			return ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
		}
	})
	w.serve()
	der := requestFor(idOf(w.auth, crypto.SHA1, w.issued(w.auth).SerialNumber)).der(t)
	if got := w.ask(der); !bytes.Equal(got, tryLater) || w.enrolled.Load() != 0 {
		t.Errorf("answered %x, %d certificates", got, w.enrolled.Load())
	}
}

// token is a key that is not in memory, and signs only while its gate is open.
type token struct {
	crypto.Signer
	gate    sync.RWMutex
	signing atomic.Int64
	most    atomic.Int64
	made    atomic.Int64
	slow    atomic.Int64 // nanoseconds it takes
}

func (k *token) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	now := k.signing.Add(1)
	defer k.signing.Add(-1)
	for most := k.most.Load(); now > most && !k.most.CompareAndSwap(most, now); most = k.most.Load() {
	}
	k.gate.RLock()
	defer k.gate.RUnlock()
	time.Sleep(time.Duration(k.slow.Load()))
	k.made.Add(1)
	return k.Signer.Sign(random, digest, opts)
}

// A token that hangs makes nobody wait for long, collects no requests, and is used again when it is back.
func TestTokenThatHangsIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k := &token{Signer: key}
	w := newWorld(t, func(_ *world, c *ocsp.Config, _ *replica.Options) {
		c.Key = func(context.Context, string) (crypto.Signer, error) { return k, nil }
		c.Limits.SigningAtOnce, c.Limits.SigningWait = 2, time.Second
	})
	w.serve()
	w.ready()
	c := w.issued(w.auth)
	plain := requestFor(idOf(w.auth, crypto.SHA1, c.SerialNumber)).der(t)
	nonced := requestFor(idOf(w.auth, crypto.SHA1, c.SerialNumber)).nonce([]byte{4, 1, 1}).der(t)
	w.eventually("an answer", func() bool { return tagOf(t, w.ask(plain)) == 0 }) // one that took too long is not stored
	k.gate.Lock()
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			if got := bodyOf(t, w.call("POST", "/ocsp", nonced)); !bytes.Equal(got, tryLater) {
				t.Errorf("while the token hangs: %x", got)
			}
		})
	}
	all.Wait()
	waited := 0
	for range 40 { // none of them waits: everything that signs is stuck
		start := time.Now()
		if got := bodyOf(t, w.call("POST", "/ocsp", nonced)); !bytes.Equal(got, tryLater) {
			t.Errorf("while the token hangs: %x", got)
		}
		if time.Since(start) >= time.Second {
			waited++
		}
	}
	if waited > 20 { // some may, on a machine that stands still
		t.Errorf("%d of 40 refusals took a second", waited)
	}
	if tag := tagOf(t, w.ask(plain)); tag != 0 {
		t.Errorf("a stored answer while the token hangs: %d", tag)
	}
	if most := k.most.Load(); most > 2 {
		t.Errorf("the token was given %d to sign at a time", most)
	}
	k.gate.Unlock()
	w.eventually("it signs again", func() bool { return len(bodyOf(t, w.call("POST", "/ocsp", nonced))) > 100 })
}

// A follower that hears nothing knows nothing newer: while a revocation is committed elsewhere, "good" never carries a
// thisUpdate from after that.
func TestDelayedFollowerNeverVouchesForLater(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := newWorld(t)
	w.serve()
	w.ready()
	c := w.issued(w.signing)
	w.feed.SetFault(func(string) error { return io.ErrUnexpectedEOF })
	time.Sleep(1100 * time.Millisecond) // times are told in seconds
	before := time.Now()
	position := w.feed.Append(journal.KindStatusChanged, 1, statusBody(w.signing, revoked(1), serialOf(t, c)))
	answers := 0
	for time.Since(before) < 1200*time.Millisecond {
		request := requestFor(idOf(w.signing, crypto.SHA1, c.SerialNumber))
		if answers++; answers%2 == 0 {
			request.nonce([]byte{4, 1, byte(answers)})
		}
		d := parseAnswer(t, w.ask(request.der(t)), w.signing)
		s := d.Responses[0]
		if s.Status.Tag == 0 && !s.ThisUpdate.Before(before) || d.ProducedAt.After(time.Now()) || s.ThisUpdate.After(d.ProducedAt) {
			t.Fatalf("revoked at %v: status %d as of %v, produced at %v", before, s.Status.Tag, s.ThisUpdate, d.ProducedAt)
		}
	}
	w.feed.SetFault(nil)
	w.wait(position)
	for range 4 {
		if d := parseAnswer(t, w.ask(requestFor(idOf(w.signing, crypto.SHA1, c.SerialNumber)).der(t)), w.signing); d.Responses[0].Status.Tag != 1 {
			t.Errorf("after it caught up: %d", d.Responses[0].Status.Tag)
		}
	}
}
