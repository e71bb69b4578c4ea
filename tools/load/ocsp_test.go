package main

import (
	"crypto"
	"crypto/x509"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cardinal/ocsp/relying"
)

func TestAnswersAboutOthersAreWrong(t *testing.T) {
	t.Parallel()
	issuer := &x509.Certificate{RawSubject: []byte{0x30, 0}, RawSubjectPublicKeyInfo: []byte{0x30, 6, 0x30, 0, 3, 2, 0, 1}}
	q := ocspQuery{query: relying.Query{Leaf: &x509.Certificate{SerialNumber: big.NewInt(77), RawIssuer: issuer.RawSubject}, Issuer: issuer, Hash: crypto.SHA1}}
	der, err := q.query.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if q.id, err = certIDIn(der); err != nil {
		t.Fatal(err)
	}
	good := append(append([]byte{}, q.id...), 0x80, 0, 1, 2, 3)
	for name, test := range map[string]struct {
		expect string
		body   []byte
		nonce  []byte
		right  bool
	}{
		"good":          {"good", good, nil, true},
		"not revoked":   {"revoked", good, nil, false},
		"any":           {"any", good, nil, true},
		"another":       {"good", good[1:], nil, false},
		"try later":     {"good", []byte{0x30, 3, 0x0a, 1, 3}, nil, false},
		"nonce":         {"good", good, []byte{1, 2, 3}, true},
		"missing nonce": {"good", good, []byte{1, 2, 4}, false},
	} {
		q.query.Nonce = test.nonce
		err := newJudge(test.expect).see(&q, test.body)
		if bad := (wrongAnswer{}); (err == nil) != test.right || err != nil && !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := newJudge("good").inFull(&q.query, good, time.Now()); err == nil {
		t.Error("what is not an answer was judged to be one")
	}
}

func TestAnswersAreReadAsFarAsTheyGo(t *testing.T) {
	t.Parallel()
	const first = "HTTP/1.1 200 OK\r\nX: y\r\nContent-length: 3\r\n\r\nabc"
	w := &ocspWorker{}
	for in, want := range map[string]struct {
		size int
		last bool
		err  bool
	}{
		first:                       {size: len(first)},
		first + "HTTP/1.1 200 OK\r": {size: len(first)},
		first[:len(first)-1]:        {},
		first[:20]:                  {},
		"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n":  {size: 38, last: true},
		"HTTP/1.1 200 OK\r\n\r\n":                       {err: true},
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n": {err: true},
		"HTTP/1.1 503 No\r\n\r\n":                       {err: true},
	} {
		if size, last, err := w.reply([]byte(in)); size != want.size || last != want.last || (err != nil) != want.err {
			t.Errorf("%q: %d, %v, %v", in, size, last, err)
		}
	}
}

func TestSerialsNeedAnIssuer(t *testing.T) {
	t.Parallel()
	l := &ocspLoad{serials: filepath.Join(t.TempDir(), "serials")}
	if err := os.WriteFile(l.serials, []byte("0a\nff\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.leaves(nil); !errors.Is(err, errNoIssuer) {
		t.Errorf("without an issuer: %v", err)
	}
	leaves, err := l.leaves([]*x509.Certificate{{RawSubject: []byte{0x30, 0}}})
	if err != nil || len(leaves) != 2 || leaves[1].SerialNumber.Int64() != 255 {
		t.Errorf("%v, %v", leaves, err)
	}
}
