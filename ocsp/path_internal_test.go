package ocsp

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"testing"
)

// decodePlainly is decodePath octet by octet, as the comment on it says.
func decodePlainly(rest []byte) ([]byte, error) {
	rest = bytes.TrimPrefix(bytes.TrimPrefix(rest, []byte("/")), []byte("/"))
	var b []byte
	for i := 0; i < len(rest); i++ {
		c := rest[i]
		if c == '%' {
			if i+2 >= len(rest) || unhex(rest[i+1])|unhex(rest[i+2]) > 15 {
				return nil, ErrMalformed
			}
			c, i = unhex(rest[i+1])<<4|unhex(rest[i+2]), i+2
		}
		switch c {
		case ' ', '-':
			c = '+'
		case '_':
			c = '/'
		case '=', '\r', '\n':
			continue
		}
		b = append(b, c)
	}
	return base64.RawStdEncoding.AppendDecode(nil, b)
}

func TestPathsAreDecodedAsTheyWouldBeOctetByOctet(t *testing.T) {
	t.Parallel()
	parts := []string{"A", "b9", "+", "/", "-", "_", "=", "==", "%", "%2", "%2F", "%2b", "%3D", "%20", "%0d%0A", "%41", "%zz", "%25", "%00", "MFEw", "TzBN", "!", "\n"}
	m := &room{}
	right := 0
	for range 20_000 {
		var path []byte
		for range rand.N(8) {
			from := parts
			if rand.N(3) > 0 {
				from = parts[:3]
			}
			path = append(path, from[rand.N(len(from))]...)
		}
		want, refused := decodePlainly(path)
		got, err := m.decodePath(bytes.Clone(path))
		if (err != nil) != (refused != nil) || err == nil && !bytes.Equal(got, want) {
			t.Fatalf("%q: %x, %v; octet by octet %x, %v", path, got, err, want, refused)
		}
		if err == nil {
			right++
		}
	}
	if right < 2000 {
		t.Errorf("%d paths alone were right", right)
	}
}
