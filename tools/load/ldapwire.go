package main

import (
	"errors"
	"fmt"
	"io"
	"net"

	"cardinal/internal/ber"
)

// Tags and values of RFC 4511 §4.
const (
	tagBindRequest    ber.Tag = 0x60
	tagBindResponse   ber.Tag = 0x61
	tagUnbindRequest  ber.Tag = 0x42
	tagSearchRequest  ber.Tag = 0x63
	tagSearchEntry    ber.Tag = 0x64
	tagSearchDone     ber.Tag = 0x65
	tagModifyRequest  ber.Tag = 0x66
	tagModifyResponse ber.Tag = 0x67
	tagSequence       ber.Tag = 0x30
	tagSet            ber.Tag = 0x31
	tagEnumerated     ber.Tag = 0x0a
	tagSimple         ber.Tag = 0x80
	tagAnd            ber.Tag = 0xa0
	tagEquality       ber.Tag = 0xa3
	tagSubstrings     ber.Tag = 0xa4
	tagInitial        ber.Tag = 0x80
	tagAny            ber.Tag = 0x81
	tagPresent        ber.Tag = 0x87

	scopeBase     = 0
	scopeOneLevel = 1
	scopeSubtree  = 2

	modifyReplace = 2
)

// maxMessage bounds what a server may send in one message.
const maxMessage = 16 << 20

var errMessageID = errors.New("the answer has another message id")

// searchRequest is the part of a search that varies. Class alone asks for
// (objectClass=class), nothing for (objectClass=*).
type searchRequest struct {
	base             string
	scope            int64
	attribute, value string
	initial          bool   // the value is how the attribute begins
	inside           string // stands anywhere in a value of the attribute
	class            string
}

func (q searchRequest) append(b []byte, id int64) []byte {
	b, message := ber.Begin(b, tagSequence)
	b = ber.AppendInt(b, ber.Integer, id)
	b, search := ber.Begin(b, tagSearchRequest)
	b = ber.AppendString(b, ber.OctetString, q.base)
	b = ber.AppendInt(b, tagEnumerated, q.scope)
	b = ber.AppendInt(b, tagEnumerated, 0) // never follow aliases
	b = ber.AppendInt(b, ber.Integer, 0)   // the server's size limit
	b = ber.AppendInt(b, ber.Integer, 0)   // and time limit
	b = ber.AppendBool(b, ber.Boolean, false)
	b = q.appendFilter(b)
	b = ber.Append(b, tagSequence, nil) // all user attributes
	b = ber.End(b, search)
	return ber.End(b, message)
}

func (q searchRequest) appendFilter(b []byte) []byte {
	switch {
	case q.inside != "":
		return appendInside(b, q.attribute, q.inside)
	case q.attribute == "" && q.class == "":
		return ber.AppendString(b, tagPresent, "objectClass")
	case q.attribute == "":
		return appendEquality(b, "objectClass", q.class)
	}
	b, and := ber.Begin(b, tagAnd)
	b = appendEquality(b, "objectClass", q.class)
	if q.initial {
		b = appendInitial(b, q.attribute, q.value)
	} else {
		b = appendEquality(b, q.attribute, q.value)
	}
	return ber.End(b, and)
}

func appendEquality(b []byte, attribute, value string) []byte {
	b, mark := ber.Begin(b, tagEquality)
	b = ber.AppendString(b, ber.OctetString, attribute)
	b = ber.AppendString(b, ber.OctetString, value)
	return ber.End(b, mark)
}

func appendInitial(b []byte, attribute, value string) []byte {
	b, mark := ber.Begin(b, tagSubstrings)
	b = ber.AppendString(b, ber.OctetString, attribute)
	b, list := ber.Begin(b, tagSequence)
	b = ber.AppendString(b, tagInitial, value)
	b = ber.End(b, list)
	return ber.End(b, mark)
}

// wire is one LDAP connection with at most one request in flight.
type wire struct {
	conn net.Conn
	in   *ldapReader
	out  []byte
	id   int64
	// entries of the last search; they live until the next request.
	entries [][]byte
}

func newWire(conn net.Conn) *wire { return &wire{conn: conn, in: newLDAPReader(conn)} }

func (w *wire) Close() error {
	if w.conn == nil {
		return nil
	}
	return w.conn.Close()
}

// begin starts the next message, whose end is at the mark.
func (w *wire) begin(tag ber.Tag) (b []byte, message, body int) {
	w.id++
	b, message = ber.Begin(w.out[:0], tagSequence)
	b = ber.AppendInt(b, ber.Integer, w.id)
	b, body = ber.Begin(b, tag)
	return b, message, body
}

// exchange sends a message and expects one answer, of success.
func (w *wire) exchange(message []byte, answer ber.Tag) error {
	w.out = message
	if err := w.send(); err != nil {
		return err
	}
	tag, body, err := w.in.next(w.id)
	if err != nil {
		return err
	}
	return success(tag, answer, body)
}

func (w *wire) send() error {
	w.in.forget()
	_, err := w.conn.Write(w.out)
	return err
}

func (w *wire) bind(dn, password string) error {
	b, message, body := w.begin(tagBindRequest)
	b = ber.AppendInt(b, ber.Integer, 3)
	b = ber.AppendString(b, ber.OctetString, dn)
	b = ber.AppendString(b, tagSimple, password)
	return w.exchange(ber.End(ber.End(b, body), message), tagBindResponse)
}

// replace is a Modify that gives an attribute one value in place of all it has.
func (w *wire) replace(dn, attribute, value string) error {
	b, message, body := w.begin(tagModifyRequest)
	b = ber.AppendString(b, ber.OctetString, dn)
	b, list := ber.Begin(b, tagSequence)
	b, change := ber.Begin(b, tagSequence)
	b = ber.AppendInt(b, tagEnumerated, modifyReplace)
	b, part := ber.Begin(b, tagSequence)
	b = ber.AppendString(b, ber.OctetString, attribute)
	b, values := ber.Begin(b, tagSet)
	b = ber.AppendString(b, ber.OctetString, value)
	for _, mark := range []int{values, part, change, list, body, message} {
		b = ber.End(b, mark)
	}
	return w.exchange(b, tagModifyResponse)
}

func (w *wire) unbind() error {
	w.id++
	b, message := ber.Begin(w.out[:0], tagSequence)
	b = ber.AppendInt(b, ber.Integer, w.id)
	b = ber.Append(b, tagUnbindRequest, nil)
	w.out = ber.End(b, message)
	return errors.Join(w.send(), w.conn.Close())
}

// search gives the encoded entries.
func (w *wire) search(q searchRequest) ([][]byte, error) {
	w.id++
	w.out = q.append(w.out[:0], w.id)
	if err := w.send(); err != nil {
		return nil, err
	}
	w.entries = w.entries[:0]
	for {
		tag, body, err := w.in.next(w.id)
		if err != nil {
			return nil, err
		}
		if tag != tagSearchEntry {
			return w.entries, success(tag, tagSearchDone, body)
		}
		w.entries = append(w.entries, body)
	}
}

// success reads an LDAPResult (RFC 4511 §4.1.9).
func success(got, want ber.Tag, body []byte) error {
	if got != want {
		return wrong("answered with %#x, want %#x", got, want)
	}
	r := ber.NewReader(body)
	code, err := r.Int(tagEnumerated)
	if err != nil {
		return err
	}
	if code != 0 {
		_, _ = r.Expect(ber.OctetString)
		why, _ := r.Expect(ber.OctetString)
		return wrong("result %d %s", code, why)
	}
	return nil
}

// ldapReader reads messages off a connection into one buffer, which holds them
// until they are forgotten.
type ldapReader struct {
	in       io.Reader
	buffer   []byte
	from, to int // read, but not yet given
}

func newLDAPReader(r io.Reader) *ldapReader { return &ldapReader{in: r, buffer: make([]byte, 8<<10)} }

// forget gives up all messages given so far.
func (r *ldapReader) forget() {
	r.to = copy(r.buffer, r.buffer[r.from:r.to])
	r.from = 0
}

// next reads one message, which must have this id, and gives its operation.
func (r *ldapReader) next(id int64) (ber.Tag, []byte, error) {
	message, err := r.message()
	if err != nil {
		return 0, nil, err
	}
	all := ber.NewReader(message)
	inside, err := all.Enter(tagSequence)
	if err != nil {
		return 0, nil, err
	}
	got, err := inside.Int(ber.Integer)
	if err != nil {
		return 0, nil, err
	}
	if got != id {
		return 0, nil, fmt.Errorf("%w: %d for %d", errMessageID, got, id)
	}
	return inside.Next()
}

func (r *ldapReader) message() ([]byte, error) {
	for {
		h, err := ber.ParseHeader(r.buffer[r.from:r.to])
		switch {
		case err == nil && h.Length > maxMessage:
			return nil, ber.ErrLength
		case err == nil && r.to-r.from >= h.Total():
			m := r.buffer[r.from : r.from+h.Total()]
			r.from += h.Total()
			return m, nil
		case err != nil && !errors.Is(err, ber.ErrShort):
			return nil, err
		}
		if err := r.more(); err != nil {
			return nil, err
		}
	}
}

// more reads what has come. Messages given before stay where they are, so a
// full buffer is replaced by a larger one.
func (r *ldapReader) more() error {
	if r.to == len(r.buffer) {
		r.buffer = append(r.buffer[:r.to:r.to], make([]byte, len(r.buffer))...)
	}
	n, err := r.in.Read(r.buffer[r.to:])
	r.to += n
	if n > 0 {
		return nil
	}
	if errors.Is(err, io.EOF) && r.to > r.from {
		return io.ErrUnexpectedEOF
	}
	return err
}
