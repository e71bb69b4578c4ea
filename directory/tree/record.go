package tree

import (
	"encoding/binary"
	"errors"
	"slices"

	"go.etcd.io/bbolt"

	"cardinal/directory"
	"cardinal/internal/ber"
)

// A record is one entry:
//
//	1 octet      1 if the RDN is told by a value of the entry, else 0
//	varint       number of the parent, 0 for the head of a suffix
//	RDN          varint attribute number and varint index of its value,
//	             or varint length and the text (RFC 4514); for the head of a
//	             suffix the text of its whole name
//	16 octets    entryUUID
//	varints      position of the last change, and its time in microseconds
//	             since 1970: the entryCSN
//	attributes   each: varint number, varint octets of values, values
//
// User attributes come in the order they were given, operational ones too.
type record []byte

var errDamaged = errors.New("a record of the directory replica is damaged")

// head is the part of a record before the attributes.
type head struct {
	told       bool
	code       uint16
	index      uint64
	text       []byte // of the RDN, if it is not told by a value
	parent     uint32
	uuid       []byte
	position   uint64
	micro      uint64
	attributes []byte
}

func parseHead(r record) (h head, err error) {
	if len(r) == 0 {
		return h, errDamaged
	}
	h.told = r[0] == 1
	d := digits{rest: r[1:]}
	h.parent = uint32(d.uint())
	n := d.uint()
	if h.told {
		h.code, h.index = uint16(n), d.uint()
	} else {
		h.text = d.take(n)
	}
	h.uuid = d.take(16)
	h.position, h.micro = d.uint(), d.uint()
	h.attributes = d.rest
	if d.short {
		return h, errDamaged
	}
	return h, nil
}

// digits reads varints and octets; after running short everything is zero.
type digits struct {
	rest  []byte
	short bool
}

func (d *digits) uint() uint64 {
	if len(d.rest) > 0 && d.rest[0] < 0x80 {
		v := uint64(d.rest[0])
		d.rest = d.rest[1:]
		return v
	}
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.short, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *digits) take(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.short, d.rest = true, nil
		return nil
	}
	v := d.rest[:n:n]
	d.rest = d.rest[n:]
	return v
}

// recordWriter builds records. It is used by one goroutine.
type recordWriter struct {
	catalog  *catalogWriter
	repeated map[*directory.AttributeType]bool
	position uint64 // of the change being applied, and its time
	micro    uint64
	bucket   *bbolt.Bucket
	room     []byte            // where records and
	scratch  []byte            // the values of an attribute are built
	outlined map[string]uint64 // attributes whose values stand apart, and how many
	told     toldPatch         // of the record patched last
}

// append builds the record of an entry in canonical form (Schema.Canonical).
func (w *recordWriter) append(parent uint32, uuid directory.UUID, e *directory.Entry) (record, error) {
	rdn := e.DN.String()
	if parent != 0 && len(e.DN) > 0 {
		rdn = e.DN[0].String()
	}
	r := append(w.room[:0], 0)
	r = binary.AppendUvarint(r, uint64(parent))
	code, index, told, err := w.teller(rdn, e)
	if err != nil {
		return nil, err
	}
	if told {
		r[0] = 1
		r = binary.AppendUvarint(binary.AppendUvarint(r, uint64(code)), index)
	} else {
		r = append(binary.AppendUvarint(r, uint64(len(rdn))), rdn...)
	}
	r = append(r, uuid[:]...)
	r = binary.AppendUvarint(binary.AppendUvarint(r, w.position), w.micro)
	for _, a := range e.Attributes {
		if r, err = w.attribute(r, a); err != nil {
			return nil, err
		}
	}
	w.room = r
	return slices.Clone(r), nil
}

// teller looks for the value the text of the RDN can be told from.
func (w *recordWriter) teller(rdn string, e *directory.Entry) (code uint16, index uint64, ok bool, err error) {
	if len(e.DN) == 0 || len(e.DN[0]) != 1 {
		return 0, 0, false, nil
	}
	ava := e.DN[0][0]
	i := slices.IndexFunc(e.Attributes, func(a directory.Attribute) bool { return a.Type == ava.Type })
	if _, apart := w.outlined[ava.Type]; apart || i < 0 || rdn != ava.Type+"="+string(ava.Value) {
		return 0, 0, false, nil
	}
	for n, v := range e.Attributes[i].Values {
		if string(v) == string(ava.Value) {
			code, err = w.catalog.codeOf(w.bucket, ava.Type)
			return code, uint64(n), err == nil, err
		}
	}
	return 0, 0, false, nil
}

func (w *recordWriter) attribute(r []byte, a directory.Attribute) ([]byte, error) {
	code, err := w.catalog.codeOf(w.bucket, a.Type)
	if err != nil {
		return nil, err
	}
	if n, apart := w.outlined[a.Type]; apart {
		w.scratch = binary.AppendUvarint(w.scratch[:0], n<<formBits|formOutlined)
	} else {
		w.scratch, err = w.values(w.scratch[:0], a)
	}
	if err != nil {
		return nil, err
	}
	r = binary.AppendUvarint(r, uint64(code))
	r = binary.AppendUvarint(r, uint64(len(w.scratch)))
	return append(r, w.scratch...), nil
}

// outline says that the values of an attribute stand apart.
func (w *recordWriter) outline(description string, n uint64) {
	if w.outlined == nil {
		w.outlined = map[string]uint64{}
	}
	w.outlined[description] = n
}

func (w *recordWriter) values(b []byte, a directory.Attribute) ([]byte, error) {
	code := w.catalog.code[a.Type]
	typ := w.catalog.now.names[code].description.Type
	if typ == nil || !w.repeated[typ] {
		for _, v := range a.Values {
			b = appendPlainValue(b, v)
		}
		return b, nil
	}
	var encoded []byte
	if typ.Name() == "objectClass" {
		for _, v := range a.Values {
			encoded = ber.Append(encoded, ber.OctetString, v)
		}
		id, ok, err := w.catalog.wordOf(w.bucket, encoded)
		if err != nil || ok {
			return binary.AppendUvarint(b, uint64(id)<<formBits|formWord), err
		}
	}
	for _, v := range a.Values {
		id, ok, err := w.catalog.wordOf(w.bucket, ber.Append(encoded[:0], ber.OctetString, v))
		switch {
		case err != nil:
			return nil, err
		case ok:
			b = binary.AppendUvarint(b, uint64(id)<<formBits|formWord)
		default:
			b = appendPlainValue(b, v)
		}
	}
	return b, nil
}

// attributes walks over the attributes of a record.
type attributes struct {
	rest  []byte
	words []string
}

// next gives the next attribute's number and values.
func (a *attributes) next() (code uint16, v values, ok bool) {
	if len(a.rest) == 0 {
		return 0, values{}, false
	}
	d := digits{rest: a.rest}
	code = uint16(d.uint())
	part := d.take(d.uint())
	a.rest = d.rest
	return code, values{rest: part, words: a.words}, !d.short
}
