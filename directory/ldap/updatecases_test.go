package ldap_test

import (
	"cardinal/internal/ber"
)

const (
	permissive = "1.2.840.113556.1.4.1413"
	treeDelete = "1.2.840.113556.1.4.805"
	relax      = "1.3.6.1.4.1.4203.666.5.12"
	assertion  = "1.3.6.1.1.12"
)

// present is the BER form of a presence filter.
func present(attr string) []byte { return ber.AppendString(nil, 0x87, attr) }

// updateControls say updates under controls to both servers.
func (l *list) updateControls() {
	device, s6 := attribute("objectClass", "device"), "cn=s6,ou=Services,o=nhs"
	with := func(oid string, pdu []byte) []byte { return withControls(pdu, control(oid, true, nil)) }
	l.say("add a device", add(5, s6, device, attribute("cn", "s6"), attribute("description", "one")))
	l.say("permissive: add what is there", with(permissive, modify(5, s6, change(0, "description", "ONE"))))
	l.say("permissive: add what is there and what is not", with(permissive, modify(5, s6, change(0, "description", "one", "two"))))
	l.say("permissive: delete what is not there", with(permissive, modify(5, s6, change(1, "description", "three"))))
	l.differs("#5 op67 code 0") // slapd passes over absent attributes alone, every other server over absent values too
	l.say("permissive: delete what is there and what is not", with(permissive, modify(5, s6, change(1, "description", "two", "three"))))
	l.differs("#5 op67 code 0")
	l.say("both alike again", modify(5, s6, change(2, "description", "one", "2")))
	l.say("permissive: delete an absent attribute", with(permissive, modify(5, s6, change(1, "seeAlso"))))
	l.say("permissive: delete a value of an absent attribute", with(permissive, modify(5, s6, change(1, "l", "x"))))
	l.say("permissive: add twice in one list", with(permissive, modify(5, s6, change(0, "l", "x"), change(0, "l", "x"))))
	l.say("permissive: a value twice", with(permissive, modify(5, s6, change(0, "l", "y", "y"))))
	l.say("permissive: an unknown attribute", with(permissive, modify(5, s6, change(1, "unknown", "y"))))
	l.say("permissive: the value of the name away", with(permissive, modify(5, s6, change(1, "cn", "s6"))))
	l.say("permissive with a value", withControls(modify(5, s6), control(permissive, true, []byte("x"))))
	l.say("permissive on a delete", with(permissive, envelope(5, 0x4A, []byte("cn=none,ou=Services,o=nhs"))))
	l.look()
	l.say("relax: add with an entryUUID", with(relax, add(5, "cn=s7,ou=Services,o=nhs", device, attribute("cn", "s7"),
		attribute("entryUUID", "2f3f5c60-9d3a-4a5e-8a0c-6a4ad2f6d101"), attribute("createTimestamp", "20200101000000Z"), attribute("creatorsName", "cn=old"))))
	l.search("what relax wrote", ask{base: "cn=s7,ou=Services,o=nhs", attrs: []string{"entryUUID", "createTimestamp", "creatorsName"}})
	l.say("relax: modify createTimestamp", with(relax, modify(5, s6, change(2, "createTimestamp", "20210101000000Z"))))
	l.search("what relax modified", ask{base: s6, attrs: []string{"createTimestamp"}})
	l.say("relax: a time that is none", with(relax, modify(5, s6, change(2, "createTimestamp", "nonsense"))))
	l.say("relax with a value", withControls(modify(5, s6), control(relax, true, []byte("x"))))
	l.say("relax, not critical", withControls(modify(5, s6, change(2, "creatorsName", "cn=other")), control(relax, false, nil)))
	holds := func(filter []byte) []byte { return control(assertion, true, filter) }
	l.say("assertion that holds", withControls(modify(5, s6, change(2, "l", "z")), holds(present("description"))))
	l.say("assertion that fails", withControls(modify(5, s6, change(2, "l", "a")), holds(present("seeAlso"))))
	l.say("assertion on an add", withControls(add(5, "cn=s8,ou=Services,o=nhs", device, attribute("cn", "s8")), holds(present("cn"))))
	l.say("assertion that fails on an add", withControls(add(5, "cn=s9,ou=Services,o=nhs", device, attribute("cn", "s9")), holds(present("seeAlso"))))
	l.say("assertion on what is not there", withControls(envelope(5, 0x4A, []byte("cn=none,ou=Services,o=nhs")), holds(present("cn"))))
	l.say("assertion that fails on a delete", withControls(envelope(5, 0x4A, []byte("cn=s8,ou=Services,o=nhs")), holds(present("seeAlso"))))
	l.say("assertion that fails on a move", withControls(move(5, "cn=s8,ou=Services,o=nhs", rename{"cn=s9", true, ""}), holds(present("seeAlso"))))
	l.say("transaction nobody began", withControls(modify(5, s6), control("1.3.6.1.1.21.2", true, []byte("x"))))
	l.differs("#5 op67 code 53") // slapd: 16673, a code of its own
	l.say("end of a transaction nobody began", envelope(5, 0x77, extended("1.3.6.1.1.21.3", ber.Append(nil, ber.Sequence, octets("x")))))
	l.differs("#5 op78 code 53")
	l.look()
}

// superiors are entries that nothing stands below.
func (l *list) superiors() {
	extensible := attribute("objectClass", "extensibleObject", "subentry")
	l.say("add a subentry", add(5, "cn=sub,ou=Services,o=nhs", extensible, attribute("cn", "sub"), attribute("subtreeSpecification", "{}")))
	l.say("add an alias", add(5, "cn=also,ou=Services,o=nhs", attribute("objectClass", "alias", "extensibleObject"), attribute("cn", "also"),
		attribute("aliasedObjectName", "ou=Services,o=nhs")))
	l.say("add a thing to move", add(5, "cn=mobile,ou=Services,o=nhs", attribute("objectClass", "device"), attribute("cn", "mobile")))
	for _, superior := range []string{"cn=sub,ou=Services,o=nhs", "cn=also,ou=Services,o=nhs"} {
		l.say("add below "+superior, add(5, "cn=low,"+superior, attribute("objectClass", "device"), attribute("cn", "low")))
	}
	l.say("move below an alias", move(5, "cn=mobile,ou=Services,o=nhs", rename{"cn=mobile", true, "cn=also,ou=Services,o=nhs"}))
	l.look()
	for _, name := range []string{"cn=sub", "cn=also", "cn=mobile"} {
		l.say("delete "+name, envelope(5, 0x4A, []byte(name+",ou=Services,o=nhs")))
	}
}

// increments are RFC 4525.
func (l *list) increments() {
	account := "uid=acc,ou=Services,o=nhs"
	l.say("add an account", add(5, account, attribute("objectClass", "device", "extensibleObject"), attribute("cn", "acc"), attribute("uid", "acc"),
		attribute("mailPreferenceOption", "7")))
	l.say("increment", modify(5, account, change(3, "mailPreferenceOption", "3")))
	l.say("decrement", modify(5, account, change(3, "mailPreferenceOption", "-11")))
	l.say("increment by nothing", modify(5, account, change(3, "mailPreferenceOption")))
	l.say("increment by two", modify(5, account, change(3, "mailPreferenceOption", "1", "2")))
	l.say("increment by a text", modify(5, account, change(3, "mailPreferenceOption", "x")))
	l.say("increment what is not there", modify(5, account, change(3, "documentVersion", "1")))
	l.look()
	l.say("delete the account", envelope(5, 0x4A, []byte(account)))
}

// passwords are RFC 3062.
func (l *list) passwords() {
	passmod := func(parts ...[]byte) []byte {
		var body []byte
		for _, p := range parts {
			body = append(body, p...)
		}
		return envelope(5, 0x77, extended("1.3.6.1.4.1.4203.1.11.1", ber.Append(nil, ber.Sequence, body)))
	}
	identity := func(s string) []byte { return ber.AppendString(nil, 0x80, s) }
	before := func(s string) []byte { return ber.AppendString(nil, 0x81, s) }
	after := func(s string) []byte { return ber.AppendString(nil, 0x82, s) }
	l.say("password of another", passmod(identity(reader), after("new one")))
	l.say("password with the old one", passmod(identity(reader), before("new one"), after("newer")))
	l.say("password with a wrong old one", passmod(identity(reader), before("wrong"), after("x")))
	l.say("password, empty", passmod(identity(reader), after("")))
	l.say("password, empty old one", passmod(identity(reader), before(""), after("x")))
	l.say("password of nobody", passmod(identity("cn=none,ou=Services,o=nhs"), after("x")))
	l.say("password by a bad name", passmod(identity("nonsense"), after("x")))
	l.say("password outside", passmod(identity("cn=x,o=other"), after("x")))
	l.differs("#5 op78 code 53") // slapd: other
	l.say("password: rubbish", envelope(5, 0x77, extended("1.3.6.1.4.1.4203.1.11.1", []byte("x"))))
}

func extended(oid string, value []byte) []byte {
	b := ber.AppendString(nil, 0x80, oid)
	if value != nil {
		b = ber.Append(b, 0x81, value)
	}
	return b
}
