package ldap_test

import (
	"bytes"
	"testing"

	"cardinal/internal/ber"
)

// rawCases are octets no client library sends. Before them nobody is bound.
func rawCases(t *testing.T) (out []exchange) {
	t.Helper()
	out = append(out, framingCases()...)
	out = append(out, bindCases()...)
	plain := func(name string, last int, differ string, pdus ...[]byte) {
		out = append(out, exchange{name: name, plain: true, pdus: pdus, last: last, differ: differ})
	}
	root := ask{base: "", filter: "(objectClass=*)", attrs: []string{"1.1"}}
	rootPDU := func(id int) []byte { return root.pdu(t, id) }
	plain("whoami", 2, "", envelope(2, 0x77, ber.AppendString(nil, 0x80, "1.3.6.1.4.1.4203.1.11.3")))
	plain("unknown extended operation", 2, "", envelope(2, 0x77, ber.AppendString(nil, 0x80, "1.2.3.4")))
	plain("cancel an unknown id", 2, "", envelope(2, 0x77, append(ber.AppendString(nil, 0x80, "1.3.6.1.1.8"),
		ber.Append(nil, 0x81, ber.Append(nil, ber.Sequence, ber.AppendInt(nil, ber.Integer, 77)))...)))
	plain("abandon an unknown id", 3, "", envelope(2, 0x50, []byte{77}), rootPDU(3))
	plain("abandon with a critical control", 3, "", envelope(2, 0x50, []byte{77}, control("1.2.3.4", true, nil)), rootPDU(3))
	plain("unbind", 0, "", envelope(2, 0x42, nil))
	plain("bind, then two requests in one piece", 4, "#2 op61 code 0", bind(2, rootDN, rootPassword), rootPDU(3), rootPDU(4))
	plain("half a request, then nothing", 0, "silent", rootPDU(2)[:9])
	plain("anonymous add", 2, "", add(2, "cn=x,o=nhs", attribute("objectClass", "device")))
	plain("anonymous modify", 2, "", modify(2, "o=nhs", change(0, "description", "x")))
	plain("anonymous delete", 2, "", envelope(2, 0x4A, []byte("cn=none,o=nhs")))
	plain("anonymous move", 2, "", move(2, "ou=Services,o=nhs", rename{"ou=x", false, ""}))
	plain("critical unknown control on a delete", 2, "", envelope(2, 0x4A, []byte("cn=none,o=nhs"), control("1.2.3.4", true, nil)))
	nested := func(levels int) []byte {
		f := []byte{0x87, 2, 'c', 'n'}
		for range levels {
			f = ber.Append(nil, 0xA2, f)
		}
		return ask{base: "", raw: f}.pdu(t, 2)
	}
	plain("filter of 90 levels", 2, "", nested(90))
	plain("filter of 110 levels", 2, "#2 op65 code 11", nested(110))                                    // slapd allows 1,000
	out = append(out, exchange{name: "empty substring", plain: true, last: 2, differ: "#2 op65 code 2", // slapd hangs up
		pdus: [][]byte{ask{raw: ber.Append(nil, 0xA4, append(octets("cn"), ber.Append(nil, ber.Sequence, []byte{0x80, 0})...))}.pdu(t, 2)}})
	out = append(out, exchange{name: "no substring", plain: true, last: 2, differ: "#2 op65 code 2",
		pdus: [][]byte{ask{raw: ber.Append(nil, 0xA4, append(octets("cn"), ber.Append(nil, ber.Sequence, nil)...))}.pdu(t, 2)}})
	out = append(out, exchange{name: "final before initial", plain: true, last: 2, differ: "#2 op65 code 2",
		pdus: [][]byte{ask{raw: ber.Append(nil, 0xA4, append(octets("cn"), ber.Append(nil, ber.Sequence, []byte{0x82, 1, 'a', 0x80, 1, 'b'})...))}.pdu(t, 2)}})
	return out
}

// framingCases are about lengths, ids and what is no request at all.
func framingCases() []exchange {
	return []exchange{
		raw("unbind with long lengths", "30 84 00 00 00 05 02 01 02 42 00", 0, ""),
		raw("bind with long lengths", "30 84 00 00 00 10 02 01 02 60 84 00 00 00 07 02 01 03 04 00 80 00", 2, ""),
		raw("8-octet length", "30 88 00 00 00 00 00 00 00 05 02 01 02 42 00", 0, "closed"),
		raw("indefinite length", "30 80 02 01 02 42 00 00 00", 0, "notice code 2\nclosed"),
		raw("indefinite length inside", "30 0b 02 01 02 60 80 02 01 03 04 00 80 00", 0, "notice code 2\nclosed"),
		raw("length beyond every limit", "30 84 ff ff ff ff", 0, "notice code 2\nclosed"),
		raw("length beyond the anonymous limit", "30 84 00 10 00 00", 0, "notice code 2\nclosed"),
		raw("no SEQUENCE", "47 45 54 20 2f 20 48 54 54 50", 0, "notice code 2\nclosed"), // slapd waits for more
		raw("TLS hello on the plain port", "16 03 01 02 00 01 00 01 fc 03 03", 0, "notice code 2\nclosed"),
		raw("message id 0", "30 0c 02 01 00 60 07 02 01 03 04 00 80 00", 0, "notice code 2\nclosed"), // slapd answers
		raw("message id -1", "30 0c 02 01 ff 60 07 02 01 03 04 00 80 00", 0, "notice code 2\nclosed"),
		raw("message id of 5 octets", "30 10 02 05 01 00 00 00 00 60 07 02 01 03 04 00 80 00", 0, "notice code 2\nclosed"),
		raw("message id with leading zeros", "30 0e 02 03 00 00 02 60 07 02 01 03 04 00 80 00", 2, ""),
		raw("no message id", "30 09 60 07 02 01 03 04 00 80 00", 0, "notice code 2\nclosed"),
		raw("unknown operation", "30 05 02 01 02 7e 00", 0, "notice code 2\nclosed"),
		raw("a response as request", "30 0c 02 01 02 61 07 0a 01 00 04 00 04 00", 0, "notice code 2\nclosed"),
		raw("trailing octets in the request", "30 0e 02 01 02 60 09 02 01 03 04 00 80 00 05 00", 2, ""),
		raw("empty controls", "30 0e 02 01 02 60 07 02 01 03 04 00 80 00 a0 00", 2, ""),
		raw("empty message", "30 00", 0, "notice code 2\nclosed"),
	}
}

// bindCases are about who is taken for whom.
func bindCases() (out []exchange) {
	say := func(name string, pdu []byte) {
		out = append(out, exchange{name: name, plain: true, last: 2, pdus: [][]byte{pdu}})
	}
	version := func(v int64) []byte {
		return envelope(2, 0x60, append(append(ber.AppendInt(nil, ber.Integer, v), octets("")...), 0x80, 0))
	}
	say("bind version 2", version(2))
	say("bind version 4", version(4))
	say("anonymous bind", bind(2, "", ""))
	say("a name without password", bind(2, rootDN, ""))
	say("a password without name", bind(2, "", "x"))
	say("bind by a bad name", bind(2, "nonsense", "x"))
	say("bind as nobody there", bind(2, "uid=1,ou=People,o=nhs", "x"))
	say("bind outside", bind(2, "cn=x,o=other", "x"))
	say("bind with a wrong password", bind(2, alex, "x"))
	say("bind with the right password", bind(2, alex, "alex's password"))
	say("bind without a password in the entry", bind(2, "ou=People,o=nhs", "x"))
	say("unknown authentication", envelope(2, 0x60, append(append(ber.AppendInt(nil, ber.Integer, 3), octets("")...), 0x84, 0)))
	say("unknown SASL mechanism", envelope(2, 0x60, append(append(ber.AppendInt(nil, ber.Integer, 3), octets("")...), ber.Append(nil, 0xA3, octets("NONSENSE"))...)))
	say("critical control on a bind", envelope(2, 0x60, bytes.Join([][]byte{ber.AppendInt(nil, ber.Integer, 3), octets(""), {0x80, 0}}, nil), control("1.2.3.4", true, nil)))
	return out
}
