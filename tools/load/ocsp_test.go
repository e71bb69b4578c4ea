package main

import (
	"bufio"
	"crypto"
	"crypto/x509"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cardinal/ocsp/relying"
)

func TestAnswersAboutOthersAreWrong(t *testing.T) {
	t.Parallel()
	issuer := &x509.Certificate{RawSubject: []byte{0x30, 0}, RawSubjectPublicKeyInfo: []byte{0x30, 6, 0x30, 0, 3, 2, 0, 1}}
	l := &ocspLoad{sample: 1}
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
		err := newJudge(test.expect).see(&q, test.body, false)
		if bad := (wrongAnswer{}); (err == nil) != test.right || err != nil && !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := newJudge("good").see(&q, good, l.sample == 1); err == nil {
		t.Error("what is not an answer was judged to be one")
	}
}

func TestAnswersAreReadAsFarAsTheyGo(t *testing.T) {
	t.Parallel()
	in := bufio.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\nX: y\r\nContent-length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 503 No\r\n\r\n"))
	for _, want := range []string{"abc", ""} {
		if body, last, err := readAnswer(in, nil); err != nil || string(body) != want || last {
			t.Errorf("%q, %v; want %q", body, err, want)
		}
	}
	if _, _, err := readAnswer(in, nil); err == nil {
		t.Error("503 was taken for an answer")
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
