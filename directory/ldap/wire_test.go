package ldap_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"cardinal/directory"
	"cardinal/directory/ldap"
	"cardinal/internal/ber"
)

// wire is a raw connection: it writes octets and shows the answers as text.
type wire struct {
	t      testing.TB
	conn   net.Conn
	schema *directory.Schema
	buf    []byte
	last   []byte // message, whole
}

func openWire(t testing.TB, address string, schema *directory.Schema) *wire {
	t.Helper()
	c, err := net.Dial("tcp", address)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return &wire{t: t, conn: c, schema: schema}
}

// openWireTLS is openWire over TLS.
func openWireTLS(t testing.TB, r *rig) (*wire, *tls.ConnectionState) {
	t.Helper()
	c, err := tls.Dial("tcp", r.secure, tlsConfig(r.pki, nil))
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	state := c.ConnectionState()
	return &wire{t: t, conn: c, schema: r.schema}, &state
}

func (w *wire) send(pdus ...[]byte) {
	w.t.Helper()
	if _, err := w.conn.Write(slices.Concat(pdus...)); err != nil {
		w.t.Logf("sending: %v", err)
	}
}

// next reads one message: "closed" at the end, "silent" if none comes.
func (w *wire) next(patience time.Duration) string {
	w.t.Helper()
	m, end := w.message(patience)
	if end != "" {
		return end
	}
	return w.show(m)
}

// raw reads one message, which must come.
func (w *wire) raw(patience time.Duration) []byte {
	w.t.Helper()
	m, end := w.message(patience)
	if end != "" {
		w.t.Fatalf("the connection is %s", end)
	}
	return m
}

func (w *wire) message(patience time.Duration) (m []byte, end string) {
	w.t.Helper()
	if patience > time.Second { // waits for something: a busy machine needs room
		patience = max(patience, time.Minute)
	}
	must(w.t, w.conn.SetReadDeadline(time.Now().Add(patience)))
	for {
		h, err := ber.ParseHeader(w.buf)
		if err == nil && len(w.buf) >= h.Total() {
			m, w.buf = w.buf[:h.Total()], w.buf[h.Total():]
			w.last = m
			return m, ""
		}
		chunk := make([]byte, 64<<10)
		n, err := w.conn.Read(chunk)
		w.buf = append(w.buf, chunk[:n]...)
		switch {
		case n > 0:
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, "silent"
		case errors.Is(err, io.EOF) || err != nil:
			return nil, "closed"
		}
	}
}

// until reads messages up to the end of the answer to a request, and sorts
// entries, whose order means nothing.
func (w *wire) until(id int, patience time.Duration) string {
	w.t.Helper()
	var out []string
	for {
		m := w.next(patience)
		if strings.HasPrefix(m, fmt.Sprintf("#%d entry", id)) {
			out = append(out, m)
			continue
		}
		slices.Sort(out)
		out = append(out, m)
		if m == "closed" || m == "silent" || strings.HasPrefix(m, fmt.Sprintf("#%d ", id)) {
			return strings.Join(out, "\n")
		}
	}
}

func (w *wire) show(m []byte) string {
	r := ber.NewReader(m)
	seq, err := r.Enter(ber.Sequence)
	must(w.t, err)
	id, err := seq.Int(ber.Integer)
	must(w.t, err)
	tag, body, err := seq.Next()
	must(w.t, err)
	in := ber.NewReader(body)
	if tag == 0x64 {
		return fmt.Sprintf("#%d entry %s", id, w.showEntry(in))
	}
	if tag == 0x73 {
		return fmt.Sprintf("#%d entry elsewhere %s", id, strings.Join(w.strings(in), " "))
	}
	code, err := in.Int(ber.Enumerated)
	must(w.t, err)
	matched, err := in.Expect(ber.OctetString)
	must(w.t, err)
	_, err = in.Expect(ber.OctetString)
	must(w.t, err)
	text := fmt.Sprintf("#%d op%X code %d", id, uint32(tag), code)
	if len(matched) > 0 {
		text += fmt.Sprintf(" matched %q", matched)
	}
	if uris, _, err := in.Optional(0xA3); err == nil && len(uris) > 0 {
		text += " referral " + strings.Join(w.strings(ber.NewReader(uris)), " ")
	}
	if tag == 0x78 && id == 0 {
		text = fmt.Sprintf("notice code %d", code)
	}
	return text
}

func (w *wire) strings(in ber.Reader) (out []string) {
	for !in.Empty() {
		v, err := in.Expect(ber.OctetString)
		must(w.t, err)
		out = append(out, string(v))
	}
	return out
}

func (w *wire) showEntry(in ber.Reader) string {
	dn, err := in.Expect(ber.OctetString)
	must(w.t, err)
	list, err := in.Enter(ber.Sequence)
	must(w.t, err)
	var attrs []string
	for !list.Empty() {
		a, err := list.Enter(ber.Sequence)
		must(w.t, err)
		name, err := a.Expect(ber.OctetString)
		must(w.t, err)
		set, err := a.Enter(ber.Set)
		must(w.t, err)
		var values []string
		for !set.Empty() {
			v, err := set.Expect(ber.OctetString)
			must(w.t, err)
			values = append(values, string(v))
		}
		if string(name) != "userPassword" { // ours never shows it
			attrs = append(attrs, w.showAttribute(string(name), values))
		}
	}
	slices.Sort(attrs)
	return fmt.Sprintf("%s {%s}", dn, strings.Join(attrs, "; "))
}

// showAttribute leaves out what two servers must differ in: times, numbers,
// and superclasses, which slapd does not show.
func (w *wire) showAttribute(name string, values []string) string {
	t := w.schema.Attribute(name)
	switch {
	case strings.EqualFold(name, "objectClass"):
		values = slices.DeleteFunc(values, func(v string) bool {
			c := w.schema.Class(v)
			return slices.ContainsFunc(values, func(o string) bool { return w.schema.Class(o) != c && w.schema.Class(o).Is(c) })
		})
	case t != nil && t.NoUserModification && !slices.Contains([]string{"hasSubordinates", "entryDN", "structuralObjectClass"}, name):
		values = []string{"…"}
	}
	slices.Sort(values)
	return name + "=" + strings.Join(values, "|")
}

// The requests.

func envelope(id int, op ber.Tag, body []byte, controls ...[]byte) []byte {
	b, mark := ber.Begin(nil, ber.Sequence)
	b = ber.AppendInt(b, ber.Integer, int64(id))
	b = ber.Append(b, op, body)
	if controls != nil {
		b = ber.Append(b, 0xA0, bytes.Join(controls, nil))
	}
	return ber.End(b, mark)
}

func octets(values ...string) (b []byte) {
	for _, v := range values {
		b = ber.AppendString(b, ber.OctetString, v)
	}
	return b
}

func bind(id int, dn, password string) []byte {
	b := ber.AppendInt(nil, ber.Integer, 3)
	return envelope(id, 0x60, ber.AppendString(append(b, octets(dn)...), 0x80, password))
}

type ask struct {
	base         string
	scope, deref int64
	size, time   int64
	typesOnly    bool
	filter       string
	raw          []byte // in place of filter
	attrs        []string
	controls     [][]byte
}

func (a ask) pdu(t testing.TB, id int) []byte {
	t.Helper()
	b := octets(a.base)
	b = ber.AppendInt(ber.AppendInt(b, ber.Enumerated, a.scope), ber.Enumerated, a.deref)
	b = ber.AppendInt(ber.AppendInt(b, ber.Integer, a.size), ber.Integer, a.time)
	b = ber.AppendBool(b, ber.Boolean, a.typesOnly)
	if a.raw != nil {
		b = append(b, a.raw...)
	} else {
		f, err := directory.ParseFilter(a.filter)
		must(t, err)
		b = ldap.AppendFilter(b, f)
	}
	return envelope(id, 0x63, ber.Append(b, ber.Sequence, octets(a.attrs...)), a.controls...)
}

func control(oid string, critical bool, value []byte) []byte {
	b := octets(oid)
	if critical {
		b = ber.AppendBool(b, ber.Boolean, true)
	}
	if value != nil {
		b = ber.Append(b, ber.OctetString, value)
	}
	return ber.Append(nil, ber.Sequence, b)
}

func attribute(name string, values ...string) []byte {
	return ber.Append(nil, ber.Sequence, append(octets(name), ber.Append(nil, ber.Set, octets(values...))...))
}

func add(id int, dn string, attrs ...[]byte) []byte {
	return envelope(id, 0x68, append(octets(dn), ber.Append(nil, ber.Sequence, bytes.Join(attrs, nil))...))
}

func modify(id int, dn string, changes ...[]byte) []byte {
	return envelope(id, 0x66, append(octets(dn), ber.Append(nil, ber.Sequence, bytes.Join(changes, nil))...))
}

func change(op int64, name string, values ...string) []byte {
	return ber.Append(nil, ber.Sequence, append(ber.AppendInt(nil, ber.Enumerated, op), attribute(name, values...)...))
}

func compare(id int, dn, attr, value string) []byte {
	return envelope(id, 0x6E, append(octets(dn), ber.Append(nil, ber.Sequence, octets(attr, value))...))
}

// rename is what a Modify DN asks for; to is empty for none.
type rename struct {
	rdn       string
	deleteOld bool
	to        string
}

func move(id int, dn string, r rename) []byte {
	b := ber.AppendBool(octets(dn, r.rdn), ber.Boolean, r.deleteOld)
	if r.to != "" {
		b = ber.AppendString(b, 0x80, r.to)
	}
	return envelope(id, 0x6C, b)
}

// wireWait is how long an answer may take on a busy machine.
const wireWait = 20 * time.Second

// withControls adds controls to a request that has none.
func withControls(pdu []byte, controls ...[]byte) []byte {
	r := ber.NewReader(pdu)
	body, err := r.Expect(ber.Sequence)
	if err != nil {
		panic(err)
	}
	return ber.Append(nil, ber.Sequence, ber.Append(bytes.Clone(body), 0xA0, bytes.Join(controls, nil)))
}
