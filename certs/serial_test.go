package certs_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"math/big"
	"testing"

	"cardinal/certs"
)

func TestNewSerialIsPositiveAndAtMost127Bits(t *testing.T) {
	t.Parallel()
	seen := map[certs.Serial]bool{}
	for range 2000 {
		s, err := certs.NewSerial(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if !s.Valid() || s.Big().BitLen() > 127 || seen[s] {
			t.Fatalf("serial %s: valid %v, bits %d, seen %v", s, s.Valid(), s.Big().BitLen(), seen[s])
		}
		seen[s] = true
	}
	if _, err := certs.NewSerial(bytes.NewReader(make([]byte, 15))); err == nil {
		t.Error("a short source of random was accepted")
	}
	if _, err := certs.NewSerial(bytes.NewReader(make([]byte, 16))); !errors.Is(err, certs.ErrSerial) {
		t.Errorf("serial zero: %v", err)
	}
}

func TestParseSerialTakesHexAsPeopleWriteIt(t *testing.T) {
	t.Parallel()
	want := certs.Serial([]byte{0x0a, 0xbc})
	for _, text := range []string{"abc", "0abc", "0ABC", "00:0a:bc", "0A BC", "00000000000abc"} {
		if s, err := certs.ParseSerial(text); err != nil || s != want {
			t.Errorf("%q: %s, %v", text, s, err)
		}
	}
	if want.Hex() != "0abc" || want.Big().Cmp(big.NewInt(0xabc)) != 0 {
		t.Errorf("shown as %s, %s", want.Hex(), want.Big())
	}
	for _, text := range []string{"", "0", "00", "xyz", "-1", "0x12", string(bytes.Repeat([]byte("f"), 41))} {
		if s, err := certs.ParseSerial(text); !errors.Is(err, certs.ErrSerial) {
			t.Errorf("%q: %s, %v", text, s, err)
		}
	}
}

func TestSerialFromBigRefusesWhatIsNotPositive(t *testing.T) {
	t.Parallel()
	for _, n := range []*big.Int{nil, big.NewInt(0), big.NewInt(-5), new(big.Int).Lsh(big.NewInt(1), 160)} {
		if s, err := certs.SerialFromBig(n); !errors.Is(err, certs.ErrSerial) {
			t.Errorf("%v: %s, %v", n, s, err)
		}
	}
	n := new(big.Int).Lsh(big.NewInt(1), 159)
	if s, err := certs.SerialFromBig(n); err != nil || s.Big().Cmp(n) != 0 {
		t.Errorf("20 octets: %s, %v", s, err)
	}
}
