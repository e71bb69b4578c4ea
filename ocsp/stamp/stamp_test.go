package stamp_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/ocsp/stamp"
)

// world is an authority with its chain in files.
type world struct {
	*testing.T
	dir       string
	authority *stamp.Authority
	now       time.Time
	doubt     error
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir(), now: time.Now()}
	root, rootKey := w.certificate("root", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	above, aboveKey := w.certificate("services", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, root, rootKey)
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{certs.OID(certs.OIDTimeStamping)})
	if err != nil {
		t.Fatal(err)
	}
	leaf, key := w.certificate("tsa", &x509.Certificate{KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		ExtraExtensions: []pkix.Extension{{Id: certs.OID(certs.OIDExtendedKeyUsage), Critical: true, Value: usage}}}, above, aboveKey)
	w.authority, err = stamp.New(stamp.Config{Now: func() (time.Time, error) { return w.now, w.doubt }})
	if err != nil {
		t.Fatal(err)
	}
	w.authority.Use(&stamp.Identity{Key: key, Leaf: leaf, Chain: []*x509.Certificate{above, root}})
	return w
}

func (w *world) certificate(name string, c, parent *x509.Certificate, by crypto.Signer) (*x509.Certificate, crypto.Signer) {
	w.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(int64(len(name))), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = w.now.Add(-time.Hour), w.now.Add(24*time.Hour)
	if parent == nil {
		parent, by = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by)
	if err != nil {
		w.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		w.Fatal(err)
	}
	w.write(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return made, key
}

func (w *world) write(name string, data []byte) string {
	w.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		w.Fatal(err)
	}
	return path
}

func (w *world) openssl(args ...string) (string, error) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "openssl", args...)
	c.Dir = w.dir
	out, err := c.CombinedOutput()
	return string(out), err
}

func TestOpenSSLVerifiesEachStamp(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skipf("needs %s: apt-get install -y %s", "openssl", "openssl")
	}
	w := newWorld(t)
	server := httptest.NewServer(w.authority)
	defer server.Close()
	w.write("data", []byte("take one tablet twice a day"))
	for _, hash := range []string{"sha256", "sha384", "sha512"} {
		for _, options := range [][]string{{"-cert"}, {}, {"-cert", "-no_nonce"}, {"-cert", "-tspolicy", stamp.DefaultPolicy().String()}} {
			args := append([]string{"ts", "-query", "-data", "data", "-" + hash, "-out", "q.tsq"}, options...)
			if out, err := w.openssl(args...); err != nil {
				t.Fatalf("%v: %s", args, out)
			}
			query, err := os.ReadFile(filepath.Join(w.dir, "q.tsq"))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.Post(server.URL, "application/timestamp-query", bytes.NewReader(query))
			if err != nil {
				t.Fatal(err)
			}
			var reply bytes.Buffer
			if _, err := reply.ReadFrom(resp.Body); err != nil || resp.Header.Get("Content-Type") != "application/timestamp-reply" {
				t.Fatal(err, resp.Header)
			}
			resp.Body.Close()
			w.write("r.tsr", reply.Bytes())
			out, err := w.openssl("ts", "-verify", "-queryfile", "q.tsq", "-in", "r.tsr", "-CAfile", "root.pem", "-untrusted", w.bundle())
			if err != nil || !strings.Contains(out, "Verification: OK") {
				t.Fatalf("%s %v: %s", hash, options, out)
			}
			text, err := w.openssl("ts", "-reply", "-in", "r.tsr", "-text")
			if err != nil || !strings.Contains(text, "Accuracy: 0x03 seconds") || !strings.Contains(text, "Status: Granted.") {
				t.Errorf("%s: %s", hash, text)
			}
		}
	}
	if w.authority.Given() != 12 {
		t.Errorf("%d stamps were given", w.authority.Given())
	}
}

// bundle is what a verifier has when the stamp brings no certificates.
func (w *world) bundle() string {
	var all []byte
	for _, name := range []string{"services.pem", "tsa.pem"} {
		data, err := os.ReadFile(filepath.Join(w.dir, name))
		if err != nil {
			w.Fatal(err)
		}
		all = append(all, data...)
	}
	return w.write("untrusted.pem", all)
}

// query builds a TimeStampReq by encoding/asn1.
type query struct {
	Version int
	Imprint struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	Policy     asn1.ObjectIdentifier `asn1:"optional"`
	Nonce      *big.Int              `asn1:"optional"`
	CertReq    bool                  `asn1:"optional"`
	Extensions []pkix.Extension      `asn1:"tag:0,optional"`
}

func newQuery() *query {
	q := &query{Version: 1}
	q.Imprint.Algorithm.Algorithm = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	sum := sha256.Sum256([]byte("x"))
	q.Imprint.Digest = sum[:]
	return q
}

func (q *query) der(t testing.TB) []byte {
	t.Helper()
	der, err := asn1.Marshal(*q)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// reply is a TimeStampResp without its token.
type reply struct {
	Status struct {
		Status int
		Text   []string       `asn1:"optional,utf8"`
		Fail   asn1.BitString `asn1:"optional"`
	}
	Token asn1.RawValue `asn1:"optional"`
}

func failureOf(t testing.TB, der []byte) (stamp.Failure, bool) {
	t.Helper()
	var r reply
	if rest, err := asn1.Unmarshal(der, &r); err != nil || len(rest) > 0 {
		t.Fatalf("reading the reply: %v\n%x", err, der)
	}
	for bit := range r.Status.Fail.BitLength {
		if r.Status.Fail.At(bit) == 1 {
			return stamp.Failure(bit), r.Status.Status == 2 && len(r.Token.FullBytes) == 0
		}
	}
	return 0, false
}

func TestRequestsThatGetNoStampAreToldWhy(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		want stamp.Failure
		edit func(*world, *query)
	}{
		"SHA-1": {stamp.BadAlg, func(_ *world, q *query) {
			q.Imprint.Algorithm.Algorithm, q.Imprint.Digest = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, make([]byte, 20)
		}},
		"version 2":      {stamp.BadRequest, func(_ *world, q *query) { q.Version = 2 }},
		"short digest":   {stamp.BadDataFormat, func(_ *world, q *query) { q.Imprint.Digest = q.Imprint.Digest[1:] }},
		"another policy": {stamp.UnacceptedPolicy, func(_ *world, q *query) { q.Policy = asn1.ObjectIdentifier{1, 2, 3} }},
		"an extension": {stamp.UnacceptedExtension, func(_ *world, q *query) {
			q.Extensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}}
		}},
		"a huge nonce":     {stamp.BadDataFormat, func(_ *world, q *query) { q.Nonce = new(big.Int).Lsh(big.NewInt(1), 1000) }},
		"clock in doubt":   {stamp.TimeNotAvailable, func(w *world, _ *query) { w.doubt = errors.New("the copy is old") }},
		"certificate over": {stamp.TimeNotAvailable, func(w *world, _ *query) { w.now = w.now.Add(48 * time.Hour) }},
		"no key yet":       {stamp.TimeNotAvailable, func(w *world, _ *query) { w.authority.Use(nil) }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, q := newWorld(t), newQuery()
			c.edit(w, q)
			if got, rejected := failureOf(t, w.authority.Answer(q.der(t))); !rejected || got != c.want {
				t.Errorf("failure %d, rejected %v, want %d", got, rejected, c.want)
			}
		})
	}
	w := newWorld(t)
	whole := newQuery().der(t)
	for n := range whole {
		if got, rejected := failureOf(t, w.authority.Answer(whole[:n])); !rejected || got != stamp.BadDataFormat {
			t.Fatalf("cut to %d octets: failure %d", n, got)
		}
	}
	if got, _ := failureOf(t, w.authority.Answer(append(whole, 0))); got != stamp.BadDataFormat {
		t.Errorf("with an octet behind its end: failure %d", got)
	}
}

func TestHTTPTakesQueriesByPOSTAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		method, media string
		size, want    int
	}{
		{http.MethodGet, "application/timestamp-query", 10, http.StatusMethodNotAllowed},
		{http.MethodPost, "text/plain", 10, http.StatusUnsupportedMediaType},
		{http.MethodPost, "application/timestamp-query", 5000, http.StatusBadRequest},
		{http.MethodPost, "application/timestamp-query; charset=binary", 10, http.StatusOK},
	} {
		r := httptest.NewRequest(c.method, "/tsa", bytes.NewReader(make([]byte, c.size)))
		r.Header.Set("Content-Type", c.media)
		got := httptest.NewRecorder()
		w.authority.ServeHTTP(got, r)
		if got.Code != c.want {
			t.Errorf("%s of %s, %d octets: %d", c.method, c.media, c.size, got.Code)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	q := newQuery()
	f.Add(q.der(f))
	q.Nonce, q.CertReq, q.Policy = big.NewInt(1<<40), true, stamp.DefaultPolicy()
	f.Add(q.der(f))
	f.Fuzz(func(t *testing.T, der []byte) {
		r, err := stamp.ParseRequest(der)
		var why stamp.Failure
		switch {
		case err != nil && !errors.As(err, &why):
			t.Fatalf("another error: %v", err)
		case err != nil:
			return
		case !bytes.Contains(der, r.Imprint) || !bytes.Contains(der, r.Nonce) || !r.Hash.Available():
			t.Fatalf("%+v is not in %x", r, der)
		}
	})
}
