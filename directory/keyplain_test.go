package directory_test

import (
	"testing"

	"cardinal/directory"
)

// FuzzPlainKey demands that the short way gives the key the long way gives.
func FuzzPlainKey(f *testing.F) {
	for _, dn := range []string{"uid=900000000017,ou=People,o=nhs", "OU=People,O=NHS", "cn=a b,o=nhs", "cn=a  b,o=nhs", "cn= a,o=nhs", "cn=a,,o=nhs",
		"cn=a=b", "2.5.4.3=x", "x=1", "cn=", "=", ",", "", "cn=\\2c", "cn=#41", "creatorsName=cn", "C=0", "entryUUID=9e3c6a42-9f9c-4d0a-b7a4-0123456789ab"} {
		f.Add(dn)
	}
	s, err := directory.DefaultSchema()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, dn string) {
		short, ok := s.AppendPlainKey(nil, []byte(dn))
		if !ok {
			return
		}
		if long, err := s.ParseKey(dn); err != nil || string(long) != string(short) {
			t.Fatalf("%q: %q, the long way %q, %v", dn, short, long, err)
		}
	})
}
