package tree

import (
	"bytes"
	"encoding/binary"
	"slices"

	"cardinal/directory"
)

// begin appends what a record begins with (see record), and sorts aside where
// the entry stands.
func (w *buildWorker) begin(id, parent uint32, x *rawEntry, fields []rawField) error {
	g := w.build
	raw := [][]byte{x.rdn}
	if parent == 0 {
		raw = w.head
	}
	name := make(directory.DN, len(raw))
	for i, r := range raw {
		rdn, err := directory.ParseRawRDN(r)
		if err != nil {
			return err
		}
		name[len(raw)-1-i] = rdn
	}
	var err error
	w.key = appendID(w.key[:0], parent)
	if w.key, err = g.tree.schema.AppendKey(w.key, name); err != nil {
		return err
	}
	if err := w.children.Add(w.key, binary.BigEndian.AppendUint32(nil, id)); err != nil {
		return err
	}
	code, index, told := w.teller(name, fields)
	r := w.records
	if told {
		r = binary.AppendUvarint(append(r, 1), uint64(parent))
		r = binary.AppendUvarint(binary.AppendUvarint(r, uint64(code)), index)
	} else {
		text := name.String()
		r = binary.AppendUvarint(append(r, 0), uint64(parent))
		r = append(binary.AppendUvarint(r, uint64(len(text))), text...)
	}
	r = append(r, x.uuid...)
	w.records = binary.AppendUvarint(binary.AppendUvarint(r, uint64(g.change.Position)), uint64(g.change.Time.UnixMicro()))
	return nil
}

// teller looks for the value the text of the name can be told from.
func (w *buildWorker) teller(name directory.DN, fields []rawField) (code uint16, index uint64, ok bool) {
	if len(name) != 1 || len(name[0]) != 1 || !plain(name[0][0].Value) {
		return 0, 0, false
	}
	ava := &name[0][0]
	i := slices.IndexFunc(fields, func(f rawField) bool { return w.names[f.name].text == ava.Type })
	if i < 0 {
		return 0, 0, false
	}
	values := directory.NewRawValues(fields[i].values)
	if values.Left > w.build.tree.outlineAbove {
		return 0, 0, false
	}
	for n := uint64(0); ; n++ {
		v, ok := values.Next()
		if !ok {
			return 0, 0, false
		}
		if bytes.Equal(v, ava.Value) {
			return w.names[fields[i].name].code, n, true
		}
	}
}

// plain reports whether a value stands in a name as it is. False means only
// that nobody looked.
func plain(v []byte) bool {
	for i, c := range v {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.':
		case i > 0 && i < len(v)-1 && (c == ' ' || c == '_'):
		default:
			return string(directory.RDN{{Type: "x", Value: v}}.Append(nil)) == "x="+string(v)
		}
	}
	return true
}

// field appends an attribute that has no token, and sorts its values aside.
func (w *buildWorker) field(id uint32, f *rawField) error {
	n := &w.names[f.name]
	values := directory.NewRawValues(f.values)
	if values.Left > w.build.tree.outlineAbove {
		if done := w.outline(id, n, values); done {
			return w.indexValues(id, n, values)
		}
	}
	w.records = binary.AppendUvarint(w.records, uint64(n.code))
	mark := len(w.records)
	w.records = append(w.records, 0) // most are short: one octet holds the length
	for v, ok := values.Next(); ok; v, ok = values.Next() {
		w.records = appendPlainValue(w.records, v)
	}
	if size := len(w.records) - mark - 1; size < 0x80 {
		w.records[mark] = byte(size)
	} else {
		var head [binary.MaxVarintLen64]byte
		k := binary.PutUvarint(head[:], uint64(size))
		w.records = slices.Insert(w.records, mark+1, head[1:k]...)
		w.records[mark] = head[0]
	}
	return w.indexValues(id, n, directory.NewRawValues(f.values))
}

func (w *buildWorker) indexValues(id uint32, n *blockName, values directory.RawValues) error {
	if !n.indexed {
		return nil
	}
	var number [4]byte
	binary.BigEndian.PutUint32(number[:], id)
	for v, ok := values.Next(); ok; v, ok = values.Next() {
		form, err := n.typ.Equality.Normalize(v)
		if err != nil {
			continue // no filter can be true for it
		}
		w.key = appendIndexValue(w.key[:0], n.index, form)
		if err := w.index.Add(w.key, number[:]); err != nil {
			return err
		}
	}
	return nil
}

// outline sets the values of a very large attribute apart; see writer.outlineOne.
func (w *buildWorker) outline(id uint32, n *blockName, values directory.RawValues) bool {
	if n.typ == nil || n.typ.Equality == nil || !n.typ.Equality.Indexable() {
		return false
	}
	from := len(w.apart)
	for v, ok := values.Next(); ok; v, ok = values.Next() {
		w.apart = append(w.apart, outlinedValue{outlineKey(id, n.code, digestOf(n.typ.Form(v))), v})
	}
	mine := w.apart[from:]
	slices.SortFunc(mine, func(a, b outlinedValue) int { return bytes.Compare(a.key, b.key) })
	for i := 1; i < len(mine); i++ {
		if bytes.Equal(mine[i-1].key, mine[i].key) {
			w.apart = w.apart[:from]
			return false // values that are equal by the rule: they stay as they were given
		}
	}
	// An entry's attributes stand in the order they were given; their values
	// apart stand in the order of keys.
	entry := appendID(nil, id)
	for from > 0 && bytes.HasPrefix(w.apart[from-1].key, entry) {
		from--
	}
	slices.SortFunc(w.apart[from:], func(a, b outlinedValue) int { return bytes.Compare(a.key, b.key) })
	var body [binary.MaxVarintLen64]byte
	k := binary.PutUvarint(body[:], uint64(len(mine))<<formBits|formOutlined)
	w.records = binary.AppendUvarint(binary.AppendUvarint(w.records, uint64(n.code)), uint64(k))
	w.records = append(w.records, body[:k]...)
	return true
}
