package ldap_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cardinal/directory/ldap"
	"cardinal/internal/ber"
)

const (
	txnStart   = "1.3.6.1.1.21.1"
	txnControl = "1.3.6.1.1.21.2"
	txnEnd     = "1.3.6.1.1.21.3"
)

// answer reads an ExtendedResponse: its code, name and value.
func answer(t *testing.T, w *wire) (id, code int64, name string, value []byte) {
	t.Helper()
	seq, err := ber.NewReader(w.raw(wireWait)), error(nil)
	seq, err = seq.Enter(ber.Sequence)
	must(t, err)
	id, err = seq.Int(ber.Integer)
	must(t, err)
	_, body, err := seq.Next()
	must(t, err)
	in := ber.NewReader(body)
	code, err = in.Int(ber.Enumerated)
	must(t, err)
	for range 2 {
		_, err = in.Expect(ber.OctetString)
		must(t, err)
	}
	n, _, err := in.Optional(0x8A)
	must(t, err)
	value, _, err = in.Optional(0x8B)
	must(t, err)
	return id, code, string(n), value
}

func begin(t *testing.T, w *wire) []byte {
	t.Helper()
	w.send(envelope(2, 0x77, extended(txnStart, nil)))
	_, code, _, id := answer(t, w)
	if code != 0 || len(id) == 0 {
		t.Fatalf("starting a transaction: code %d, id %x", code, id)
	}
	return id
}

func end(id int, commit bool, transaction []byte) []byte {
	b := ber.Append(ber.AppendBool(nil, ber.Boolean, commit), ber.OctetString, transaction)
	return envelope(id, 0x77, extended(txnEnd, ber.Append(nil, ber.Sequence, b)))
}

func bound(t testing.TB, r *rig, dn, password string) *wire {
	t.Helper()
	w := openWire(t, r.plain, r.schema)
	w.send(bind(1, dn, password))
	if got := w.until(1, wireWait); !strings.HasSuffix(got, "code 0") {
		t.Fatalf("bind: %s", got)
	}
	return w
}

func expectAnswer(t testing.TB, w *wire, id int, code int) {
	t.Helper()
	got := w.until(id, wireWait)
	if f := strings.Fields(got); len(f) < 4 || f[0] != fmt.Sprintf("#%d", id) || f[3] != fmt.Sprint(code) {
		t.Errorf("answer %q, want #%d with code %d", got, id, code)
	}
}

// device is an add of cn=NAME below Services.
func device(id int, name string, controls ...[]byte) []byte {
	pdu := add(id, "cn="+name+",ou=Services,o=nhs", attribute("objectClass", "device"), attribute("cn", name), attribute("l", "here"))
	if controls == nil {
		return pdu
	}
	return withControls(pdu, controls...)
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *ldap.Config) { c.Rules = ruled(t, c.Tree.Schema(), transactionRules) })
	r.ldif(workforce)
	look := r.dial(rootDN, rootPassword)
	there := func(name string) bool {
		found, err := search(look, "ou=Services,o=nhs", "(cn="+name+")")
		must(t, err)
		return len(found) == 1
	}
	t.Run("commit", func(t *testing.T) { commitsTogether(t, r, there) })
	t.Run("refusal", func(t *testing.T) { refusesTogether(t, r, there) })
	t.Run("state inside", func(t *testing.T) { judgesInside(t, r, there) })
	t.Run("rights", func(t *testing.T) { judgesRightsInside(t, r, there) })
	t.Run("ends", func(t *testing.T) { endsWithTheBind(t, r, there) })
	t.Run("bounds", func(t *testing.T) { boundsTransactions(t, r) })
	t.Run("protocol", func(t *testing.T) { refusesBadTransactions(t, r) })
}

// transactionRules let the reader write devices that are here, and see no others.
const transactionRules = `rules:
  - name: the reader and what is here
    who: ["dn:cn=reader,ou=Services,o=nhs"]
    subtree: ou=Services,o=nhs
    filter: (|(l=here)(objectClass=organizationalUnit))
    attributes: [entry, "*", "+"]
    rights: [read, search, compare, write]
`

func commitsTogether(t *testing.T, r *rig, there func(string) bool) {
	w := bound(t, r, rootDN, rootPassword)
	id := begin(t, w)
	in := control(txnControl, true, id)
	preread, postread := control("1.3.6.1.1.13.1", true, ber.Append(nil, ber.Sequence, octets("l"))), control("1.3.6.1.1.13.2", true, ber.Append(nil, ber.Sequence, octets("l")))
	w.send(device(3, "t1", in), withControls(modify(4, "cn=t1,ou=Services,o=nhs", change(2, "l", "there")), in, preread, postread),
		withControls(move(5, "cn=t1,ou=Services,o=nhs", rename{"cn=t2", true, ""}), in), device(6, "t3", in),
		withControls(envelope(7, 0x4A, []byte("cn=t3,ou=Services,o=nhs")), in))
	for i := 3; i <= 7; i++ {
		expectAnswer(t, w, i, 0)
	}
	if there("t1") || there("t2") {
		t.Error("an update of an open transaction is seen")
	}
	w.send(end(8, true, id))
	_, code, _, value := answer(t, w)
	if code != 0 || !there("t2") || there("t1") || there("t3") {
		t.Fatalf("commit: code %d", code)
	}
	text := string(value)
	if !strings.Contains(text, "1.3.6.1.1.13.1") || !strings.Contains(text, "here") || !strings.Contains(text, "1.3.6.1.1.13.2") || !strings.Contains(text, "there") {
		t.Errorf("the answer to the commit lacks the read controls: %q", text)
	}
	w.send(end(9, true, id))
	expectAnswer(t, w, 9, 53) // it is over
	again := begin(t, w)
	w.send(device(3, "t4", control(txnControl, true, again)))
	expectAnswer(t, w, 3, 0)
	w.send(end(10, false, again))
	expectAnswer(t, w, 10, 0)
	if there("t4") {
		t.Error("an aborted transaction has left something behind")
	}
}

func refusesTogether(t *testing.T, r *rig, there func(string) bool) {
	w := bound(t, r, rootDN, rootPassword)
	id := begin(t, w)
	in := control(txnControl, true, id)
	w.send(device(3, "u1", in), device(4, "reader", in), device(5, "u2", in))
	for i := 3; i <= 5; i++ {
		expectAnswer(t, w, i, 0)
	}
	w.send(end(6, true, id))
	_, code, _, value := answer(t, w)
	seq := ber.NewReader(value)
	inner, err := seq.Enter(ber.Sequence)
	must(t, err)
	failed, err := inner.Int(ber.Integer)
	must(t, err)
	if code != 68 || failed != 4 || there("u1") || there("u2") {
		t.Errorf("code %d, failed message %d; want 68 and 4, and nothing made", code, failed)
	}
}

func judgesInside(t *testing.T, r *rig, there func(string) bool) {
	w := bound(t, r, rootDN, rootPassword)
	id := begin(t, w)
	in := control(txnControl, true, id)
	holds := func(value string) []byte {
		f := ber.Append(nil, 0xA3, octets("l", value))
		return control(assertion, true, f)
	}
	w.send(device(3, "v1", in), withControls(modify(4, "cn=v1,ou=Services,o=nhs", change(2, "l", "York")), in, holds("here")),
		withControls(modify(5, "cn=v1,ou=Services,o=nhs", change(2, "l", "Leeds")), in, holds("York")))
	for i := 3; i <= 5; i++ {
		expectAnswer(t, w, i, 0)
	}
	w.send(end(6, true, id))
	expectAnswer(t, w, 6, 0)
	id = begin(t, w)
	in = control(txnControl, true, id)
	w.send(withControls(modify(3, "cn=v1,ou=Services,o=nhs", change(2, "l", "York")), in), withControls(modify(4, "cn=v1,ou=Services,o=nhs", change(2, "l", "x")), in, holds("Leeds")),
		device(5, "v2", in))
	for i := 3; i <= 5; i++ { // answers of requests sent together may overtake each other (RFC 4511 §3.1)
		expectAnswer(t, w, i, 0)
	}
	w.send(end(6, true, id))
	expectAnswer(t, w, 6, 122)
	if there("v2") {
		t.Error("a failed assertion did not undo the transaction")
	}
}

func judgesRightsInside(t *testing.T, r *rig, there func(string) bool) {
	w := bound(t, r, reader, "reading")
	id := begin(t, w)
	in := control(txnControl, true, id)
	// what he moves away from "here" is hidden from him from then on
	w.send(device(3, "w1", in), withControls(modify(4, "cn=w1,ou=Services,o=nhs", change(2, "l", "there")), in),
		withControls(modify(5, "cn=w1,ou=Services,o=nhs", change(2, "l", "here")), in))
	for i := 3; i <= 5; i++ {
		expectAnswer(t, w, i, 0)
	}
	w.send(end(6, true, id))
	expectAnswer(t, w, 6, 32)
	if there("w1") {
		t.Error("a transaction without the rights was made")
	}
}

func endsWithTheBind(t *testing.T, r *rig, there func(string) bool) {
	w := bound(t, r, rootDN, rootPassword)
	id := begin(t, w)
	w.send(device(3, "x1", control(txnControl, true, id)), bind(4, rootDN, rootPassword), end(5, true, id))
	expectAnswer(t, w, 3, 0)
	expectAnswer(t, w, 4, 0)
	expectAnswer(t, w, 5, 53)
	if there("x1") {
		t.Error("a bind has committed the transaction")
	}
	id = begin(t, w)
	w.send(device(3, "x1", control(txnControl, true, id)), envelope(9, 0x42, nil))
	expectAnswer(t, w, 3, 0)
	if there("x1") {
		t.Error("an unbind has committed the transaction")
	}
}

func boundsTransactions(t *testing.T, r *rig) {
	w := bound(t, r, rootDN, rootPassword)
	id := begin(t, w)
	w.send(envelope(3, 0x77, extended(txnStart, nil)))
	expectAnswer(t, w, 3, 53) // one at a time
	in := control(txnControl, true, id)
	for i := range 200 {
		w.send(device(10+i, fmt.Sprintf("y%d", i), in))
		expectAnswer(t, w, 10+i, 0)
	}
	w.send(device(900, "y900", in))
	expectAnswer(t, w, 900, 11)
	w.send(end(901, false, id))
	expectAnswer(t, w, 901, 0)
}

func refusesBadTransactions(t *testing.T, r *rig) {
	w := bound(t, r, rootDN, rootPassword)
	id := begin(t, w)
	for i, c := range []struct {
		pdu  []byte
		code int
	}{
		{device(10, "z1", control(txnControl, false, id)), 2},
		{device(11, "z1", control(txnControl, true, nil)), 2},
		{device(12, "z1", control(txnControl, true, []byte("other"))), 53},
		{device(13, "z1", control(txnControl, true, id), control(txnControl, true, id)), 2},
		{envelope(14, 0x77, extended(txnStart, []byte("x"))), 2},
		{envelope(15, 0x77, extended(txnEnd, []byte("x"))), 2},
		{envelope(16, 0x77, extended(txnEnd, nil)), 2},
		{withControls(envelope(17, 0x77, extended("1.3.6.1.4.1.4203.1.11.3", nil)), control(txnControl, true, id)), 53},
		{withControls(envelope(18, 0x4A, []byte(reader)), control(txnControl, true, id), control(treeDelete, true, nil)), 53},
		{withControls(ask{base: "o=nhs", filter: "(cn=x)"}.pdu(t, 19), control(txnControl, true, id)), 12},
		{withControls(modify(20, "cn=x,o=other"), control(txnControl, true, id)), 53},
	} {
		w.send(c.pdu)
		expectAnswer(t, w, 10+i, c.code)
	}
	anonymous := openWire(t, r.plain, r.schema)
	anonymous.send(envelope(2, 0x77, extended(txnStart, nil)))
	expectAnswer(t, anonymous, 2, 8)
}

func TestForgottenTransactionIsAborted(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *ldap.Config) { c.Limits.Transaction = 50 * time.Millisecond })
	r.ldif(workforce)
	w := bound(t, r, rootDN, rootPassword)
	opened := begin(t, w)
	id, code, name, value := answer(t, w)
	if id != 0 || code == 0 || name != "1.3.6.1.1.21.4" || string(value) != string(opened) {
		t.Errorf("notice %d of %q with %x, code %d", id, name, value, code)
	}
	w.send(end(4, true, opened))
	expectAnswer(t, w, 4, 53)
}
