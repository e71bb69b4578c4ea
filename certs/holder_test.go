package certs_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"cardinal/certs"
)

func TestNewUUIDIsTwelveDigitsNotStartingWithZero(t *testing.T) {
	t.Parallel()
	for range 2000 {
		id, err := certs.NewUUID(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := certs.ParseUUID(string(id)); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range []string{"", "12345678901", "1234567890123", "012345678901", "12345678901x", "１２３４"} {
		if _, err := certs.ParseUUID(bad); !errors.Is(err, certs.ErrUUID) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestSignatureCNHyphenatesAndCutsAtARune(t *testing.T) {
	t.Parallel()
	cases := []struct{ given, family, want string }{
		{"Alex", "Example", "900000000017_Alex_Example"},
		{"Mary  Ann", " van der Berg ", "900000000017_Mary-Ann_van-der-Berg"},
		{"Zoë", "O'Neill", "900000000017_Zoë_O'Neill"},
		{"A\xff", "B", "900000000017_A_B"},
	}
	for _, c := range cases {
		h := certs.Holder{UUID: "900000000017", Given: c.given, Family: c.family}
		if got := certs.SignatureCN(h); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
		if got := certs.AuthenticationCN(h); got != "900000000017" {
			t.Errorf("authentication name %q", got)
		}
	}
	long := certs.Holder{UUID: "900000000017", Given: strings.Repeat("é", 40), Family: strings.Repeat("Ж", 40)}
	got := certs.SignatureCN(long)
	if utf8.RuneCountInString(got) != certs.CommonNameMax || !utf8.ValidString(got) {
		t.Errorf("cut to %d characters: %q", utf8.RuneCountInString(got), got)
	}
	exact := certs.Holder{UUID: "900000000017", Given: strings.Repeat("a", 25), Family: strings.Repeat("b", 25)}
	if got := certs.SignatureCN(exact); len(got) != 64 || !strings.HasSuffix(got, "_"+strings.Repeat("b", 25)) {
		t.Errorf("64 characters were cut: %q", got)
	}
}
