package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"cardinal/internal/ber"
)

// Tags and values of RFC 4511 §4.
const (
	tagBindRequest   ber.Tag = 0x60
	tagBindResponse  ber.Tag = 0x61
	tagUnbindRequest ber.Tag = 0x42
	tagSearchRequest ber.Tag = 0x63
	tagSearchEntry   ber.Tag = 0x64
	tagSearchDone    ber.Tag = 0x65
	tagSequence      ber.Tag = 0x30
	tagEnumerated    ber.Tag = 0x0a
	tagSimple        ber.Tag = 0x80
	tagAnd           ber.Tag = 0xa0
	tagEquality      ber.Tag = 0xa3
	tagPresent       ber.Tag = 0x87

	scopeBase    = 0
	scopeSubtree = 2
)

// maxMessage bounds what a server may send in one message.
const maxMessage = 16 << 20

var errMessageID = errors.New("the answer has another message id")

// searchRequest is the part of a search that varies; without an attribute the
// filter is (objectClass=*).
type searchRequest struct {
	base             string
	scope            int64
	attribute, value string
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
	if q.attribute == "" {
		b = ber.AppendString(b, tagPresent, "objectClass")
	} else {
		var and int
		b, and = ber.Begin(b, tagAnd)
		b = appendEquality(b, "objectClass", q.class)
		b = appendEquality(b, q.attribute, q.value)
		b = ber.End(b, and)
	}
	b = ber.Append(b, tagSequence, nil) // all user attributes
	b = ber.End(b, search)
	return ber.End(b, message)
}

func appendEquality(b []byte, attribute, value string) []byte {
	b, mark := ber.Begin(b, tagEquality)
	b = ber.AppendString(b, ber.OctetString, attribute)
	b = ber.AppendString(b, ber.OctetString, value)
	return ber.End(b, mark)
}

func (w *ldapWorker) bind() error {
	w.id++
	b, message := ber.Begin(w.out[:0], tagSequence)
	b = ber.AppendInt(b, ber.Integer, w.id)
	b, bind := ber.Begin(b, tagBindRequest)
	b = ber.AppendInt(b, ber.Integer, 3)
	b = ber.AppendString(b, ber.OctetString, w.l.bindDN)
	b = ber.AppendString(b, tagSimple, w.l.password)
	b = ber.End(b, bind)
	w.out = ber.End(b, message)
	if _, err := w.conn.Write(w.out); err != nil {
		return err
	}
	tag, body, err := w.in.next(w.id)
	if err != nil {
		return err
	}
	return success(tag, tagBindResponse, body)
}

func (w *ldapWorker) unbind() error {
	w.id++
	b, message := ber.Begin(w.out[:0], tagSequence)
	b = ber.AppendInt(b, ber.Integer, w.id)
	b = ber.Append(b, tagUnbindRequest, nil)
	w.out = ber.End(b, message)
	_, err := w.conn.Write(w.out)
	return errors.Join(err, w.conn.Close())
}

// search gives the encoded entries; they live until the next search.
func (w *ldapWorker) search(q searchRequest) ([][]byte, error) {
	w.id++
	w.out = q.append(w.out[:0], w.id)
	if _, err := w.conn.Write(w.out); err != nil {
		return nil, err
	}
	var entries [][]byte
	for {
		tag, body, err := w.in.next(w.id)
		if err != nil {
			return nil, err
		}
		if tag != tagSearchEntry {
			return entries, success(tag, tagSearchDone, body)
		}
		entries = append(entries, body)
	}
}

// success reads an LDAPResult (RFC 4511 §4.1.9).
func success(got, want ber.Tag, body []byte) error {
	if got != want {
		return fmt.Errorf("answered with %#x, want %#x", got, want)
	}
	r := ber.NewReader(body)
	code, err := r.Int(tagEnumerated)
	if err != nil {
		return err
	}
	if code != 0 {
		_, _ = r.Expect(ber.OctetString)
		why, _ := r.Expect(ber.OctetString)
		return fmt.Errorf("result %d %s", code, why)
	}
	return nil
}

// ldapReader reads messages off a connection.
type ldapReader struct{ in *bufio.Reader }

func newLDAPReader(r io.Reader) *ldapReader { return &ldapReader{bufio.NewReaderSize(r, 1<<16)} }

// next reads one message, which must have this id, and gives its operation.
func (r *ldapReader) next(id int64) (ber.Tag, []byte, error) {
	h, err := r.header()
	if err != nil {
		return 0, nil, err
	}
	if h.Length > maxMessage {
		return 0, nil, ber.ErrLength
	}
	message := make([]byte, h.Total())
	if _, err := io.ReadFull(r.in, message); err != nil {
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
		return 0, nil, errMessageID
	}
	return inside.Next()
}

// header peeks until tag and length have arrived.
func (r *ldapReader) header() (ber.Header, error) {
	for n := 2; ; n++ {
		b, err := r.in.Peek(n)
		if err != nil {
			return ber.Header{}, err
		}
		h, err := ber.ParseHeader(b)
		if !errors.Is(err, ber.ErrShort) {
			return h, err
		}
	}
}
