package ldap_test

import (
	"bytes"
	"testing"

	"cardinal/directory"
	"cardinal/directory/ldap"
	"cardinal/internal/ber"
)

// FuzzSearchControls gives any octets to each control of a search: nothing may
// panic, a search ends once, and no more comes back than without controls.
func FuzzSearchControls(f *testing.F) {
	if testing.Short() {
		f.Skip("short")
	}
	value := func(c []byte) []byte {
		r := ber.NewReader(c)
		seq, _ := r.Enter(ber.Sequence)
		_, _ = seq.Expect(ber.OctetString)
		if seq.Peek() == ber.Boolean {
			_, _ = seq.Bool(ber.Boolean)
		}
		v, _ := seq.Expect(ber.OctetString)
		return v
	}
	oids := []string{oidSort, oidView, oidMatched, oidSubentry, oidPages, "2.16.840.1.113730.3.4.18", "1.3.6.1.1.22"}
	order := value(sortBy(true, "sn:caseIgnoreOrderingMatch", "-cn:2.5.13.3"))
	for i, v := range [][]byte{order, value(viewAt(1, 2, 1, 0)), value(matchedBy(f, "(cn=a*)", "(:caseIgnoreMatch:=b)")), {1, 1, 0xFF},
		value(pages(2, "")), []byte("dn:" + alex), nil} {
		f.Add(uint8(i), v, order, false)
		f.Add(uint8(i), v, []byte(nil), true)
	}
	f.Add(uint8(1), value(viewFrom(1, 2, "c")), order, true)
	f.Add(uint8(4), value(pages(3, "s\x00\x00\x00\x00\x01aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")), order, true)
	r := newRig(f, func(c *ldap.Config) { c.Writer, c.AllowPlaintextBind = nil, false })
	r.ldif(workforce + shelf + elsewhereOnly)
	root, err := directory.ParseDN(rootDN)
	must(f, err)
	handle := ldap.Handle(r.server, directory.Identity{DN: root, Key: "o=nhs\x00cn=admin\x00"})
	all := bytes.Count(handle(ask{base: "o=nhs", scope: 2, filter: "(objectClass=*)", attrs: []string{"1.1"}}.pdu(f, 9)), []byte{2, 1, 9})
	f.Fuzz(func(t *testing.T, which uint8, v, order []byte, critical bool) {
		controls := [][]byte{control(oids[int(which)%len(oids)], critical, v)}
		if order != nil {
			controls = append(controls, control(oidSort, critical, order))
		}
		pdu := ask{base: "o=nhs", scope: 2, filter: "(objectClass=*)", attrs: []string{"1.1"}, controls: controls}.pdu(t, 9)
		out, messages := ber.NewReader(bytes.Clone(handle(pdu))), 0
		for ; !out.Empty(); messages++ {
			if _, err := out.Expect(ber.Sequence); err != nil {
				t.Fatalf("answer to %x: %v", pdu, err)
			}
		}
		if messages > all {
			t.Fatalf("%d messages, %d without controls, for %x", messages, all, pdu)
		}
		if ldap.Panics(r.server) != 0 {
			t.Fatalf("panic at %x", pdu)
		}
	})
}

// elsewhereOnly is a referral in a place of its own.
const elsewhereOnly = `
dn: ou=Away,o=nhs
objectClass: referral
objectClass: extensibleObject
ou: Away
ref: ldap://other.example/ou=Away,o=nhs
`

// FuzzReferralURI gives any values of ref: what comes out is nothing, or a URI
// of the same protocol without spaces.
func FuzzReferralURI(f *testing.F) {
	for _, v := range []string{"ldap://h/ou=a,o=b??sub", "ldap://h", "ldaps://h/ou=%20x label", "http://h/x", "ldap://h/%zz", "nonsense", "ldap://h/a?b?c?d?e", ""} {
		f.Add(v, alex)
	}
	f.Fuzz(func(t *testing.T, value, dn string) {
		parsed, err := directory.ParseDN(dn)
		if err != nil {
			return
		}
		uri := ldap.ReferralURI(value, parsed)
		if bytes.ContainsAny([]byte(uri), " ") || uri != "" && !bytes.Contains([]byte(uri), []byte("://")) {
			t.Fatalf("%q became %q", value, uri)
		}
	})
}
