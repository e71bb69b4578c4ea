package directory_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"cardinal/directory"
)

func TestCheckPasswordKnowsTheUsualSchemes(t *testing.T) {
	t.Parallel()
	for _, stored := range []string{ // all of "secret"; made with slappasswd and openssl
		"{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
		"{MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==",
		"{sha256}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=",
		"{SSHA}rHtlhifJaTidsljxWXrm+eZykA5Mitpr",
		"{SMD5}fn3gGGJJTgUYk6z6RchNj250lOk=",
		"{ARGON2}$argon2i$v=19$m=4096,t=3,p=1$QmZ6HXI19/qBpfl41koLxw$uAy+GU+hvnnLCebVdQ02Maj914RWulpMvupQalGGTm0",
	} {
		if !directory.IsVerifier([]byte(stored)) {
			t.Errorf("%s is no verifier", stored)
		}
		if ok, err := directory.CheckPassword([]byte(stored), []byte("secret")); !ok || err != nil {
			t.Errorf("%s: %v %v", stored, ok, err)
		}
		if ok, _ := directory.CheckPassword([]byte(stored), []byte("Secret")); ok {
			t.Errorf("%s matches another password", stored)
		}
	}
	for _, bad := range []string{"secret", "{CRYPT}x", "{SHA}x", "{SSHA}5en6", "{ARGON2}$argon2id$v=19$m=99999999,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA", "{}x", "{SHA", ""} {
		if directory.IsVerifier([]byte(bad)) {
			t.Errorf("%q is a verifier", bad)
		}
		if ok, err := directory.CheckPassword([]byte(bad), []byte("secret")); ok || err == nil {
			t.Errorf("%q: %v %v", bad, ok, err)
		}
	}
}

func TestVerifiersThatCostTooMuchAreNone(t *testing.T) {
	t.Parallel()
	const rest = "$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"
	for cost, fits := range map[string]bool{
		"m=65536,t=3,p=4":         true, // RFC 9106 §4, the second choice
		"m=47104,t=1,p=1":         true, // OWASP
		"m=7168,t=5,p=1":          true,
		"m=131072,t=2,p=1":        true,
		"m=131072,t=3,p=1":        false,
		"m=131073,t=1,p=1":        false,
		"m=1048576,t=1,p=1":       false,
		"m=4096,t=64,p=1":         false,
		"m=4096,t=4294967295,p=1": false,
		"m=4096,t=1,p=17":         false,
	} {
		stored := []byte("{ARGON2}$argon2id$v=19$" + cost + rest)
		if directory.IsVerifier(stored) != fits {
			t.Errorf("%s: a verifier is %t", cost, !fits)
		}
		if fits {
			continue
		}
		if ok, err := directory.CheckPassword(stored, []byte("x")); ok || !errors.Is(err, directory.ErrPasswordScheme) {
			t.Errorf("%s: checked: %v", cost, err)
		}
	}
}

func TestHashPasswordIsArgon2id(t *testing.T) {
	t.Parallel()
	a, b := directory.HashPassword([]byte("geheim")), directory.HashPassword([]byte("geheim"))
	if string(a) == string(b) || !strings.HasPrefix(string(a), "{ARGON2}$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("%s %s", a, b)
	}
	if ok, err := directory.CheckPassword(a, []byte("geheim")); !ok || err != nil {
		t.Error(err)
	}
	if string(directory.SealPassword(a)) != string(a) {
		t.Error("a verifier was hashed again")
	}
}

func FuzzCheckPassword(f *testing.F) {
	f.Add([]byte("{SSHA}Zm8zuc4WZgP2/K1YmZ4AfFBaDLpzYWx0"))
	f.Add([]byte("{ARGON2}$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"))
	f.Fuzz(func(_ *testing.T, stored []byte) {
		if strings.Contains(strings.ToUpper(string(stored)), "ARGON2") && len(stored) > 90 {
			return // could ask for a gigabyte
		}
		directory.IsVerifier(stored)
	})
}

func TestRoleActiveByLondonDay(t *testing.T) {
	t.Parallel()
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Skipf("needs %s: apt-get install -y %s", "zoneinfo", "tzdata")
	}
	for _, c := range []struct {
		close string
		now   string
		want  bool
	}{
		{"", "2026-07-01T12:00:00Z", true},
		{"20260702", "2026-07-01T12:00:00Z", true},
		{"20260701", "2026-07-01T12:00:00Z", false},
		{"20260702", "2026-07-01T22:59:59Z", true},
		{"20260702", "2026-07-01T23:00:00Z", false}, // 00:00 on the 2nd, summer time
		{"20260102", "2026-01-01T23:59:59Z", true},
		{"20260102", "2026-01-02T00:00:00Z", false},
		{"20250101", "2026-01-02T00:00:00Z", false},
		{"2026-07-02", "2026-01-02T00:00:00Z", false},
		{"20261301", "2026-01-02T00:00:00Z", false},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := directory.RoleActive(c.close, now, london); got != c.want {
			t.Errorf("%q at %s: %v", c.close, c.now, got)
		}
	}
}
