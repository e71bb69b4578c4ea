package certs_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"math/big"
	"testing"
	"time"

	"cardinal/certs"
)

func TestNewSerialRisesWithTimeAndIsRandomBehindIt(t *testing.T) {
	t.Parallel()
	seen, before := map[certs.Serial]bool{}, certs.Serial("")
	at := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	for range 2000 {
		s, err := certs.NewSerial(at, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if !s.Valid() || len(s) != 16 || s.Big().BitLen() > 127 || s <= before || seen[s[4:]] {
			t.Fatalf("serial %s behind %s: valid %v, its random part seen %v", s, before, s.Valid(), seen[s[4:]])
		}
		seen[s[4:]], before = true, s
		at = at.Add(2 * time.Second)
	}
	if _, err := certs.NewSerial(at, bytes.NewReader(make([]byte, 11))); err == nil {
		t.Error("a short source of random was accepted")
	}
	for _, wrong := range []time.Time{{}, time.Unix(0, 0), time.Date(2107, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if _, err := certs.NewSerial(wrong, rand.Reader); !errors.Is(err, certs.ErrSerial) {
			t.Errorf("at %s: %v", wrong, err)
		}
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
