package directory

import (
	"fmt"
	"reflect"
	"testing"
)

// What is remembered of the names above changes nothing about a name.
func FuzzLDIFNames(f *testing.F) {
	for _, text := range []string{"cn=a,ou=b,o=c", "cn=a, ou=b , o=c", `cn=a\,b,ou=c,o=d`, "cn=a+sn=b,o=c", "cn=a,,o=c", "cn=a,", "cn=a, ", ",", "cn=a,b", "cn=#04,o=c", "cn=a,ou=b;o=c", "1.2.3=a,OID.1.2=b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		names := ldifNames{}
		for _, whole := range []string{text, "uid=1," + text, "uid=2," + text, "uid=3,uid=1," + text, text} {
			got, err := names.parse([]byte(whole), func(b []byte) string { return string(b) })
			want, wantErr := ParseDN(whole)
			if !reflect.DeepEqual(got, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Fatalf("%q: %q, %v, not %q, %v", whole, got, err, want, wantErr)
			}
		}
	})
}
