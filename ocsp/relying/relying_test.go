package relying_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"cardinal/certs"
	"cardinal/ocsp/relying"
)

// scene is an issuer, a responder it delegated to, one it did not, and a card.
type scene struct {
	issuer, responder, stranger, leaf *x509.Certificate
	issuerKey, responderKey, strange  *ecdsa.PrivateKey
	now                               time.Time
}

func newScene(t testing.TB) *scene {
	t.Helper()
	s := &scene{now: time.Now().UTC().Truncate(time.Second)}
	s.issuer, s.issuerKey = s.certificate(t, "Issuer", 1)
	s.responder, s.responderKey = s.certificate(t, "Responder", 2, x509.ExtKeyUsageOCSPSigning)
	s.stranger, s.strange = s.certificate(t, "Stranger", 3, x509.ExtKeyUsageClientAuth)
	s.leaf, _ = s.certificate(t, "900000000017", 0x7f01, x509.ExtKeyUsageClientAuth)
	return s
}

// certificate makes the issuer itself, and after that what the issuer signs.
func (s *scene) certificate(t testing.TB, name string, serial int64, usage ...x509.ExtKeyUsage) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	parent, by := s.issuer, s.issuerKey
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, ExtKeyUsage: usage,
		NotBefore: s.now.Add(-time.Hour), NotAfter: s.now.Add(time.Hour), BasicConstraintsValid: true, IsCA: parent == nil,
	}
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed, key
}

func (s *scene) answer(t testing.TB, status int, change func(*ocsp.Response)) []byte {
	t.Helper()
	response := ocsp.Response{
		Status: status, SerialNumber: s.leaf.SerialNumber, Certificate: s.responder, IssuerHash: crypto.SHA256,
		ThisUpdate: s.now.Add(-2 * time.Minute), NextUpdate: s.now.Add(time.Minute),
		RevokedAt: s.now.Add(-time.Minute), RevocationReason: ocsp.KeyCompromise,
	}
	key := s.responderKey
	if change != nil {
		change(&response)
	}
	if response.Certificate == s.stranger {
		key = s.strange
	}
	der, err := ocsp.CreateResponse(s.issuer, response.Certificate, response, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func (s *scene) query() relying.Query {
	return relying.Query{Leaf: s.leaf, Issuer: s.issuer, Hash: crypto.SHA256}
}

func TestJudgeTellsStatusesApart(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	hold := func(r *ocsp.Response) { r.RevocationReason = ocsp.CertificateHold }
	for _, c := range []struct {
		name   string
		der    []byte
		known  bool
		good   bool
		state  certs.State
		reason certs.Reason
	}{
		{"good", s.answer(t, ocsp.Good, nil), true, true, certs.StateGood, 0},
		{"revoked", s.answer(t, ocsp.Revoked, nil), true, false, certs.StateRevoked, certs.ReasonKeyCompromise},
		{"held", s.answer(t, ocsp.Revoked, hold), true, false, certs.StateHeld, certs.ReasonCertificateHold},
		{"unknown", s.answer(t, ocsp.Unknown, nil), false, false, certs.StateGood, 0},
	} {
		answer, err := s.query().Judge(c.der, s.now)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if answer.Known != c.known || answer.Good() != c.good || answer.Status.State != c.state || answer.Status.Reason != c.reason {
			t.Errorf("%s: got %+v", c.name, answer)
		}
	}
}

func TestJudgeRefusesWhatMustNotBeBelieved(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	withNonce := s.query()
	withNonce.Nonce = []byte("0123456789abcdef0123456789abcdef")
	for _, c := range []struct {
		name  string
		query relying.Query
		der   []byte
		want  error
	}{
		{"other serial", s.query(), s.answer(t, ocsp.Good, func(r *ocsp.Response) { r.SerialNumber = big.NewInt(77) }), relying.ErrOther},
		{"signer not delegated", s.query(), s.answer(t, ocsp.Good, func(r *ocsp.Response) { r.Certificate = s.stranger }), relying.ErrNotDelegated},
		{"nonce missing", withNonce, s.answer(t, ocsp.Good, nil), relying.ErrNonce},
		{"expired", s.query(), s.answer(t, ocsp.Good, func(r *ocsp.Response) { r.NextUpdate = s.now.Add(-time.Minute) }), relying.ErrNotFresh},
		{"from the future", s.query(), s.answer(t, ocsp.Good, func(r *ocsp.Response) { r.ThisUpdate = s.now.Add(time.Minute) }), relying.ErrNotFresh},
		{"empty", s.query(), nil, relying.ErrMalformed},
		{"cut short", s.query(), s.answer(t, ocsp.Good, nil)[:200], relying.ErrMalformed},
	} {
		if answer, err := c.query.Judge(c.der, s.now); !errors.Is(err, c.want) {
			t.Errorf("%s: got %+v and %v, want %v", c.name, answer, err, c.want)
		}
	}
	var refused *relying.ResponseError
	if _, err := s.query().Judge(ocsp.TryLaterErrorResponse, s.now); !errors.As(err, &refused) || refused.Status != 3 {
		t.Errorf("tryLater: got %v", err)
	}
}

// TestJudgeNeverTurnsAFlippedRevocationGood changes every byte of a revoked answer in turn.
func TestJudgeNeverTurnsAFlippedRevocationGood(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	der := s.answer(t, ocsp.Revoked, nil)
	step := 1
	if testing.Short() {
		step = 7
	}
	for i := 0; i < len(der); i += step {
		bent := append([]byte(nil), der...)
		bent[i] ^= 0x21
		if answer, err := s.query().Judge(bent, s.now); err == nil && answer.Good() {
			t.Fatalf("byte %d flipped: the revoked certificate is good", i)
		}
	}
}

// TestJudgeAcceptsOpenSSLWithNonce lets OpenSSL's responder answer our encoding of the question.
func TestJudgeAcceptsOpenSSLWithNonce(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skipf("needs %s: apt-get install -y %s", "openssl", "openssl")
	}
	s := newScene(t)
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		query, err := relying.NewQuery(s.leaf, s.issuer)
		if err != nil {
			t.Fatal(err)
		}
		query.Hash = hash
		answer, err := query.Judge(s.openssl(t, query), s.now.Add(2*time.Second))
		if err != nil || !answer.Known || answer.Status.Reason != certs.ReasonSuperseded {
			t.Errorf("%v: got %+v, %v", hash, answer, err)
		}
	}
}

func (s *scene) openssl(t *testing.T, query relying.Query) []byte {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	request, err := query.Encode()
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(s.responderKey)
	if err != nil {
		t.Fatal(err)
	}
	index := fmt.Sprintf("R\t%s\t%s,superseded\t%04X\tunknown\t/CN=x\n",
		s.leaf.NotAfter.Format("060102150405Z"), s.now.Add(-time.Minute).Format("060102150405Z"), s.leaf.SerialNumber)
	out := filepath.Join(dir, "answer.der")
	command := exec.Command("openssl", "ocsp", "-index", write("index.txt", []byte(index)), "-reqin", write("request.der", request),
		"-CA", write("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.issuer.Raw})),
		"-rsigner", write("signer.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.responder.Raw})),
		"-rkey", write("signer.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		"-nmin", "5", "-respout", out)
	if text, err := command.CombinedOutput(); err != nil {
		t.Fatalf("openssl: %v\n%s", err, text)
	}
	der, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func FuzzJudgeNeverPanics(f *testing.F) {
	s := newScene(f)
	f.Add(s.answer(f, ocsp.Good, nil))
	f.Add(s.answer(f, ocsp.Revoked, nil))
	f.Add(ocsp.TryLaterErrorResponse)
	query := s.query()
	query.Nonce = []byte{1}
	f.Fuzz(func(t *testing.T, der []byte) {
		if answer, err := query.Judge(der, s.now); err == nil {
			t.Fatalf("an answer without our nonce was believed: %+v", answer)
		}
	})
}
