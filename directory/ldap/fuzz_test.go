package ldap_test

import (
	"bytes"
	"testing"

	"cardinal/directory"
	"cardinal/directory/ldap"
	"cardinal/internal/ber"
)

// FuzzFilter demands that a filter that was read means the same when written
// and read again, and never takes more than it was given.
func FuzzFilter(f *testing.F) {
	for _, text := range []string{"(uid=1)", "(&(a=b)(!(c=*))(|(d>=1)(e<=2)))", "(cn=a*b*c)", "(ou:dn:2.5.13.5:=x)", "(:caseExactMatch:=x)", "(a~=b)"} {
		parsed, err := directory.ParseFilter(text)
		must(f, err)
		f.Add(ldap.AppendFilter(nil, parsed))
	}
	f.Add([]byte{0x8F, 0})
	f.Add([]byte{0xA2, 2, 0xA2, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := ldap.ParseFilter(b)
		if err != nil {
			return
		}
		again, err := ldap.ParseFilter(ldap.AppendFilter(nil, first))
		if err != nil {
			t.Fatal(err)
		}
		if first.String() != again.String() {
			t.Fatalf("%s became %s", first, again)
		}
	})
}

// FuzzMessage reads envelopes and controls.
func FuzzMessage(f *testing.F) {
	f.Add(envelope(2, 0x42, nil, control("1.2.840.113556.1.4.319", true, ber.Append(nil, ber.Sequence, append(ber.AppendInt(nil, ber.Integer, 5), octets("")...)))))
	f.Add(envelope(2, 0x66, nil, control("1.3.6.1.1.12", true, []byte{0x87, 2, 'c', 'n'}), control("1.3.6.1.1.13.2", false, ber.Append(nil, ber.Sequence, octets("*")))))
	f.Add(ask{base: "o=nhs", filter: "(a=b)"}.pdu(f, 3))
	f.Fuzz(func(t *testing.T, b []byte) { _ = ldap.Decode(b) })
}

// FuzzRequest gives any octets to a server with entries, as a root identity:
// nothing may panic, and what comes back must be whole messages.
func FuzzRequest(f *testing.F) {
	if testing.Short() {
		f.Skip("short")
	}
	for _, pdu := range [][]byte{
		bind(1, rootDN, rootPassword), ask{base: "o=nhs", scope: 2, filter: "(&(cn=a*)(!(sn>=b)))", attrs: []string{"*", "+", "@person"}}.pdu(f, 2),
		ask{base: "", filter: "(objectClass=*)"}.pdu(f, 3), compare(4, alex, "cn", "x"), move(5, alex, rename{"cn=x", true, ""}),
		add(6, "cn=x,o=nhs", attribute("objectClass", "device")), modify(7, alex, change(2, "sn", "x")), envelope(8, 0x4A, []byte(bo)),
		envelope(9, 0x77, ber.AppendString(nil, 0x80, "1.3.6.1.4.1.4203.1.11.3")), envelope(10, 0x50, []byte{3}),
		envelope(11, 0x77, append(ber.AppendString(nil, 0x80, "1.3.6.1.4.1.4203.1.11.1"), 0x81, 2, 0x30, 0)),
		envelope(12, 0x77, extended(txnStart, nil)), end(13, true, []byte("x")), device(14, "x", control(txnControl, true, []byte("x")), control(relax, true, nil)),
		withControls(envelope(15, 0x4A, []byte(bo)), control(treeDelete, true, nil)), withControls(modify(16, alex), control(permissive, true, nil)),
	} {
		f.Add(pdu)
	}
	r := newRig(f, func(c *ldap.Config) { c.Writer, c.AllowPlaintextBind = nil, false })
	r.ldif(workforce)
	root, err := directory.ParseDN(rootDN)
	must(f, err)
	handle := ldap.Handle(r.server, directory.Identity{DN: root, Key: "o=nhs\x00cn=admin\x00"})
	f.Fuzz(func(t *testing.T, pdu []byte) {
		out := ber.NewReader(bytes.Clone(handle(pdu)))
		for !out.Empty() {
			if _, err := out.Expect(ber.Sequence); err != nil {
				t.Fatalf("answer to %x: %v", pdu, err)
			}
		}
		if ldap.Panics(r.server) != 0 {
			t.Fatalf("panic at %x", pdu)
		}
	})
}

// FuzzUpdateValues reads the values of the extended operations that update: what
// was read must be a part of what was given.
func FuzzUpdateValues(f *testing.F) {
	f.Add(ber.Append(nil, ber.Sequence, ber.Append(ber.AppendBool(nil, ber.Boolean, false), ber.OctetString, []byte("id"))))
	f.Add(ber.Append(nil, ber.Sequence, octets("id")))
	f.Add(ber.Append(nil, ber.Sequence, ber.AppendString(ber.AppendString(nil, 0x80, "u:x"), 0x82, "new")))
	f.Add([]byte{0x30, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, id, err := ldap.ParseEndTransaction(b)
		if err == nil && !bytes.Contains(b, id) {
			t.Errorf("id %x", id)
		}
		identity, before, after, err := ldap.ParsePasswordModify(b)
		for _, part := range [][]byte{identity, before, after} {
			if err == nil && !bytes.Contains(b, part) {
				t.Errorf("part %x", part)
			}
		}
	})
}
