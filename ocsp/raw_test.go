package ocsp_test

import (
	"bytes"
	"crypto"
	"crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"
)

// Our own raw client: it writes requests by encoding/asn1, so not by the code under test.

type algorithmID struct {
	Algorithm  asn1.ObjectIdentifier
	Parameters asn1.RawValue `asn1:"optional"`
}

type certID struct {
	Hash     algorithmID
	NameHash []byte
	KeyHash  []byte
	Serial   *big.Int
}

type oneRequest struct {
	CertID     certID
	Extensions []pkix.Extension `asn1:"explicit,tag:0,optional,omitempty"`
}

type tbsRequest struct {
	Version    int           `asn1:"explicit,tag:0,default:0,optional"`
	Requestor  asn1.RawValue `asn1:"optional"`
	List       []oneRequest
	Extensions []pkix.Extension `asn1:"explicit,tag:2,optional,omitempty"`
}

type ocspRequest struct {
	TBS       tbsRequest
	Signature asn1.RawValue `asn1:"optional"`
}

var (
	oidNonce  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	oidHashes = map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.SHA1:   {1, 3, 14, 3, 2, 26},
		crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
		crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2},
		crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},
	}
)

func sum(h crypto.Hash, b []byte) []byte {
	s := h.New()
	s.Write(b)
	return s.Sum(nil)
}

// idOf is the CertID of a serial of an authority.
func idOf(a *authority, h crypto.Hash, serial *big.Int) certID {
	var spki struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(a.cert.RawSubjectPublicKeyInfo, &spki); err != nil {
		panic(err)
	}
	return certID{Hash: algorithmID{Algorithm: oidHashes[h], Parameters: asn1.NullRawValue},
		NameHash: sum(h, a.cert.RawSubject), KeyHash: sum(h, spki.Key.Bytes), Serial: serial}
}

func requestFor(ids ...certID) *ocspRequest {
	r := &ocspRequest{}
	for _, id := range ids {
		r.TBS.List = append(r.TBS.List, oneRequest{CertID: id})
	}
	return r
}

func (r *ocspRequest) nonce(value []byte) *ocspRequest {
	r.TBS.Extensions = append(r.TBS.Extensions, pkix.Extension{Id: oidNonce, Value: value})
	return r
}

func (r *ocspRequest) der(t testing.TB) []byte {
	t.Helper()
	der, err := asn1.Marshal(*r)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// ask posts a request.
func (w *world) ask(der []byte) []byte {
	w.t.Helper()
	response, err := client(w.t).Post(w.server.URL+"/ocsp", "application/ocsp-request", bytes.NewReader(der))
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/ocsp-response" {
		w.t.Fatalf("HTTP %s, %s: %s", response.Status, response.Header.Get("Content-Type"), body)
	}
	return body
}

func getPath(der []byte) string {
	return "/ocsp/" + url.QueryEscape(base64.StdEncoding.EncodeToString(der))
}

// answerOf judges an answer about one certificate by golang.org/x/crypto/ocsp.
func answerOf(t testing.TB, response []byte, c *x509.Certificate, a *authority) *xocsp.Response {
	t.Helper()
	parsed, err := xocsp.ParseResponseForCert(response, c, a.cert)
	if err != nil {
		t.Fatalf("parsing the answer: %v\n%x", err, response)
	}
	return parsed
}

// statusOf asks with a SHA-1 CertID without nonce.
func (w *world) statusOf(c *x509.Certificate, a *authority) *xocsp.Response {
	w.t.Helper()
	return answerOf(w.t, w.ask(requestFor(idOf(a, crypto.SHA1, c.SerialNumber)).der(w.t)), c, a)
}

// Our own parser of answers, by encoding/asn1, for what x/crypto/ocsp does not show.

type singleResponse struct {
	CertID     certID
	Status     asn1.RawValue
	ThisUpdate time.Time        `asn1:"generalized"`
	NextUpdate time.Time        `asn1:"generalized,explicit,tag:0,optional"`
	Extensions []pkix.Extension `asn1:"explicit,tag:1,optional"`
}

type responseData struct {
	Raw        asn1.RawContent
	Version    int `asn1:"explicit,tag:0,default:0,optional"`
	Responder  asn1.RawValue
	ProducedAt time.Time `asn1:"generalized"`
	Responses  []singleResponse
	Extensions []pkix.Extension `asn1:"explicit,tag:1,optional"`
}

type basicResponse struct {
	Data         responseData
	Algorithm    pkix.AlgorithmIdentifier
	Signature    asn1.BitString
	Certificates []asn1.RawValue `asn1:"explicit,tag:0,optional"`
}

// parseAnswer takes an answer apart and checks its signature and the responder's certificate.
func parseAnswer(t testing.TB, der []byte, a *authority) *responseData {
	t.Helper()
	var outer struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type     asn1.ObjectIdentifier
			Response []byte
		} `asn1:"explicit,tag:0,optional"`
	}
	if rest, err := asn1.Unmarshal(der, &outer); err != nil || len(rest) != 0 || outer.Status != 0 {
		t.Fatalf("OCSPResponse: status %d, %d bytes left, %v\n%x", outer.Status, len(rest), err, der)
	}
	var basic basicResponse
	if rest, err := asn1.Unmarshal(outer.Bytes.Response, &basic); err != nil || len(rest) != 0 {
		t.Fatalf("BasicOCSPResponse: %v\n%x", err, der)
	}
	signer, err := x509.ParseCertificate(basic.Certificates[0].FullBytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := signer.CheckSignatureFrom(a.cert); err != nil {
		t.Errorf("the responder's certificate: %v", err)
	}
	if err := signer.CheckSignature(x509.ECDSAWithSHA256, basic.Data.Raw, basic.Signature.RightAlign()); err != nil {
		t.Errorf("the signature: %v", err)
	}
	var spki struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	_, _ = asn1.Unmarshal(signer.RawSubjectPublicKeyInfo, &spki)
	key := sha1.Sum(spki.Key.Bytes)
	if r := basic.Data.Responder; r.Tag != 2 || !bytes.HasSuffix(r.Bytes, key[:]) {
		t.Errorf("the responder is not named by its key: %x", r.FullBytes)
	}
	return &basic.Data
}

// errorStatus is the status of an answer without content.
func errorStatus(t testing.TB, der []byte) int {
	t.Helper()
	var outer struct{ Status asn1.Enumerated }
	if _, err := asn1.Unmarshal(der, &outer); err != nil || len(der) != 5 {
		t.Fatalf("not an answer without content: %x (%v)", der, err)
	}
	return int(outer.Status)
}
