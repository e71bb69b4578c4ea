package ldap_test

import (
	"bytes"
	"testing"

	"cardinal/directory/ldap"
)

// FuzzFollowing reads sync requests, persistent searches and cookies.
func FuzzFollowing(f *testing.F) {
	cookie, _ := ldap.SyncCookie([16]byte{0xAB, 0xCD, 0xEF}, "007", "20260101000000.000001Z#000000#000#00000a")
	f.Add(cookie)
	f.Add([]byte("rid=001,csn=20260101000000.000001Z#000000#abc#00000a;x"))
	f.Add([]byte("rid=-1,sid=1,csn=;;;#,delcsn="))
	f.Add([]byte{0x30, 3, 0x0A, 1, 3})
	f.Add(append([]byte{0x30, 13, 0x0A, 1, 1, 4, 5}, "rid=1\x01\x01\xff"...))
	f.Add([]byte{0x30, 9, 2, 1, 15, 1, 1, 0xFF, 1, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if rid, csns, _ := ldap.ParseFollowing(b); len(rid) > 3 || csns > 64 {
			t.Errorf("rid %q and %d numbers", rid, csns)
		}
	})
}

func TestCookieNamesItsPlaceToItsOwnSearchAlone(t *testing.T) {
	t.Parallel()
	const csn = "20260101000000.000001Z#000001#000#00000a"
	scope := [16]byte{1, 2, 3}
	cookie, found := ldap.SyncCookie(scope, "123", csn)
	if !found {
		t.Errorf("%s names nothing", cookie)
	}
	for _, b := range []byte{0, 0x0F} { // 000 is every server's number
		if _, found := ldap.SyncCookie([16]byte{0, b}, "", csn); !found {
			t.Errorf("scope 000 and %x names nothing", b)
		}
	}
	if !bytes.HasPrefix(cookie, []byte("rid=123,csn="+csn+";")) {
		t.Errorf("a slapd cannot read %s", cookie)
	}
}
