package keys

import (
	"bytes"
	"errors"
	"testing"
)

func TestSealedKeyOpensAndEveryTruncationIsRefused(t *testing.T) {
	t.Parallel()
	plain := bytes.Repeat([]byte("0123456789"), 13)
	der, err := sealPKCS8(plain, []byte("p"))
	if err != nil {
		t.Fatal(err)
	}
	back, err := openPKCS8(der, []byte("p"))
	if err != nil || !bytes.Equal(back, plain) {
		t.Fatalf("%x, %v", back, err)
	}
	for n := range der {
		if _, _, err := parsePKCS8(der[:n]); err == nil {
			t.Fatalf("%d of %d octets were accepted", n, len(der))
		}
	}
}

func TestFileCannotAskForMuchMemoryOrLittleWork(t *testing.T) {
	t.Parallel()
	good := lock{salt: make([]byte, 16), n: 1 << 15, r: 8, p: 1, iv: make([]byte, 16)}
	cases := map[string]func(*lock){
		"cheap":       func(l *lock) { l.n = 1 << 10 },
		"huge n":      func(l *lock) { l.n = 1 << 30 },
		"odd n":       func(l *lock) { l.n = 1<<15 + 1 },
		"huge r":      func(l *lock) { l.r = 1 << 20 },
		"zero r":      func(l *lock) { l.r = 0 },
		"negative p":  func(l *lock) { l.p = -1 },
		"huge p":      func(l *lock) { l.p = 1 << 20 },
		"short salt":  func(l *lock) { l.salt = []byte{1} },
		"huge memory": func(l *lock) { l.n, l.r = 1<<20, 8 },
	}
	for name, change := range cases {
		l := good
		change(&l)
		der, err := l.encode(make([]byte, 32))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := parsePKCS8(der); !errors.Is(err, errCost) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzPKCS8(f *testing.F) {
	der, err := lock{salt: make([]byte, 16), n: 1 << 15, r: 8, p: 1, iv: make([]byte, 16)}.encode(make([]byte, 48))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Fuzz(func(t *testing.T, der []byte) {
		l, data, err := parsePKCS8(der)
		if err == nil && (128*l.n*l.r > maxScryptMemory || len(data)%16 != 0) {
			t.Fatalf("accepted %+v", l)
		}
	})
}
