package main

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func seal(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	s, err := newSealer(&b, []byte("secret"), 4)
	if err != nil {
		t.Fatal(err)
	}
	for len(data) > 0 {
		n := min(len(data), 10_000)
		if _, err := s.Write(data[:n]); err != nil {
			t.Fatal(err)
		}
		data = data[n:]
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func unseal(data []byte, passphrase string) ([]byte, error) {
	o, err := newOpener(bytes.NewReader(data), []byte(passphrase))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(o)
}

func TestWhatWasSealedOpensAsItWas(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, sealedChunk - 1, sealedChunk, sealedChunk + 1, 2 * sealedChunk} {
		data := bytes.Repeat([]byte("x"), size)
		back, err := unseal(seal(t, data), "secret")
		if err != nil || !bytes.Equal(back, data) {
			t.Errorf("%d octets: %d came back, %v", size, len(back), err)
		}
	}
}

func TestASealedFileThatWasTouchedDoesNotOpen(t *testing.T) {
	t.Parallel()
	good := seal(t, bytes.Repeat([]byte("y"), sealedChunk+1000))
	change := func(at int) []byte {
		bad := bytes.Clone(good)
		bad[at] ^= 1
		return bad
	}
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"not one at all":        {[]byte("hello"), errNotSealed},
		"salt":                  {change(sealedHeader - 1), errUnsealable},
		"first chunk":           {change(sealedHeader + 5), errUnsealable},
		"second chunk":          {change(len(good) - 3), errSealedShort},
		"cut at a chunk's end":  {good[:sealedHeader+sealedChunk+sealedTag], errUnsealable},
		"cut inside the second": {good[:len(good)-1], errSealedShort},
	} {
		if _, err := unseal(c.data, "secret"); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := unseal(good, "other"); !errors.Is(err, errUnsealable) {
		t.Errorf("wrong passphrase: %v", err)
	}
}

func FuzzOpener(f *testing.F) {
	cheap := append([]byte(sealedMagic), 1)
	f.Add(append(cheap, make([]byte, 40)...))
	f.Add([]byte(sealedMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > len(sealedMagic) && data[len(sealedMagic)] > 4 {
			data[len(sealedMagic)] = 4 // keep scrypt cheap
		}
		if plain, err := unseal(data, "x"); err == nil && len(plain) > 0 {
			t.Errorf("opened %d octets", len(plain))
		}
	})
}
