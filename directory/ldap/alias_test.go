package ldap_test

import (
	"testing"
)

// TestAliasesAreEntries: an alias is found as the entry it is, however
// dereferencing is asked for; nothing is followed and nothing fails.
func TestAliasesAreEntries(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, nil)
	r.ldif(workforce + `
dn: cn=alias,o=nhs
objectClass: alias
objectClass: extensibleObject
cn: alias
aliasedObjectName: ou=Services,o=nhs
`)
	w := openWire(t, r.plain, r.schema).bound(reader, "reading")
	for deref := range int64(4) {
		for _, x := range []struct {
			base, want string
			scope      int64
		}{
			{"cn=alias,o=nhs", "cn=alias code 0", 0},
			{"cn=alias,o=nhs", "cn=alias code 0", 2},
			{"cn=alias,o=nhs", "code 0", 1},
			{"o=nhs", "ou=People ou=Services cn=alias code 0", 1},
			{"cn=reader,cn=alias,o=nhs", "code 32", 0},
		} {
			if got, _ := w.ordered(ask{base: x.base, scope: x.scope, deref: deref, filter: "(objectClass=*)", attrs: []string{"1.1"}}); got != x.want {
				t.Errorf("dereferencing %d, %s, scope %d: %s, want %s", deref, x.base, x.scope, got, x.want)
			}
		}
	}
}
