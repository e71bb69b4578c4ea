package directory

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestLZGivesBackWhatWasCompressed(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 70_000)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	far := append(append(bytes.Clone(noise), make([]byte, 70_000)...), noise...)
	text := []byte(strings.Repeat("uid=510609652113,ou=People,o=nhs objectClass: nhsOrgPersonRole\n", 3000))
	for i := 0; i < len(text); i += 7 {
		text[i] = '0' + byte(random.IntN(10))
	}
	w := &lzWriter{}
	for _, raw := range [][]byte{nil, []byte("a"), []byte("abcdabcdabcdabcdabcdabcd"), bytes.Repeat([]byte{7}, 100_000), noise, far, text} {
		for cut := 0; cut < 20 && cut <= len(raw); cut++ {
			in := raw[:len(raw)-cut]
			out, err := lzRead(w.append(nil, in), len(in))
			if err != nil || !bytes.Equal(out, in) {
				t.Fatalf("%d bytes: %v", len(in), err)
			}
		}
	}
	if n := len(w.append(nil, text)); n > len(text)/2 {
		t.Errorf("text of %d bytes becomes %d", len(text), n)
	}
}

func FuzzLZ(f *testing.F) {
	f.Add([]byte("abcdabcdabcdabcdabcdabcdabcdabcdabcd"))
	f.Add([]byte{0xff, 255, 255, 1, 0})
	f.Add((&lzWriter{}).append(nil, bytes.Repeat([]byte("one two "), 40)))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = lzRead(b, 300) // nothing but an error comes of it
		out, err := lzRead((&lzWriter{}).append(nil, b), len(b))
		if err != nil || !bytes.Equal(out, b) {
			t.Fatalf("%v", err)
		}
	})
}
