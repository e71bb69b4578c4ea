package ocsp

import (
	"bytes"
	"fmt"

	"go.etcd.io/bbolt"

	"cardinal/certs"
	"cardinal/internal/replica"
)

// Records are stored in groups: one key of the store holds all serials that begin with the same 22 bits. A key of its own
// would cost each record 16 octets of the page it is on and the serial's beginning once more; among ten million a group
// has five, and a tenth of a page.
//
// The value is a list in the order of the serials. Of each: the serial's length, what follows its first two octets, the
// record's length, the record. Lengths are single octets.

// groupKey is where a serial is.
func groupKey(serial []byte) [3]byte {
	var key [3]byte
	copy(key[:], serial)
	key[2] &= 0xfc
	return key
}

// entry is one record of a group.
type entry struct {
	length int // of the serial
	rest   []byte
	record []byte
}

// shared is how much of a serial stands in the key of its group.
const shared = 2

// nextEntry takes the first entry off a group; false for one that is damaged.
func nextEntry(group []byte) (e entry, after []byte, ok bool) {
	if len(group) < 2 || group[0] == 0 || int(group[0]) > certs.SerialMax {
		return e, nil, false
	}
	e.length = int(group[0])
	rest := max(e.length-shared, 0)
	if len(group) < 2+rest {
		return e, nil, false
	}
	e.rest = group[1 : 1+rest]
	end := 2 + rest + int(group[1+rest])
	if len(group) < end {
		return e, nil, false
	}
	e.record = group[2+rest : end]
	return e, group[end:], true
}

// serial puts the serial of an entry together.
func (e *entry) serial(b, key []byte) []byte {
	b = append(b, key[:min(shared, e.length)]...)
	return append(b, e.rest...)
}

// findEntry looks for a serial in its group: the offset of its entry, and its record. Without one, record is nil and at is
// where it belongs. ok is false for a damaged group.
func findEntry(group, serial []byte) (at int, record []byte, ok bool) {
	key := groupKey(serial)
	left := group
	var room [certs.SerialMax]byte
	for len(left) > 0 {
		e, after, good := nextEntry(left)
		if !good {
			return 0, nil, false
		}
		switch order := bytes.Compare(e.serial(room[:0], key[:]), serial); {
		case order == 0:
			return len(group) - len(left), e.record, true
		case order > 0:
			return len(group) - len(left), nil, true
		}
		left = after
	}
	return len(group), nil, true
}

// place is where a serial is in its group, or belongs.
type place struct {
	key    [3]byte
	group  []byte
	at     int
	record []byte // nil: the serial is not there
}

// placeOf looks for a serial.
func placeOf(records *bbolt.Bucket, serial certs.Serial) (p place, err error) {
	p.key = groupKey([]byte(serial))
	p.group = records.Get(p.key[:])
	var ok bool
	if p.at, p.record, ok = findEntry(p.group, []byte(serial)); !ok {
		return p, &replica.Damage{What: "the records beside serial " + serial.Hex()}
	}
	return p, nil
}

// parse is the record that is there, or an empty one.
func (p *place) parse(serial certs.Serial) (r Record, err error) {
	if p.record == nil {
		return r, nil
	}
	r, ok := parseRecord(p.record)
	if !ok {
		return r, &replica.Damage{What: "the record of serial " + serial.Hex()}
	}
	return r, nil
}

// put writes the record of the serial, or takes it out when it is nil. Nothing else may have been put since the serial was
// looked for.
func (p *place) put(records *bbolt.Bucket, serial certs.Serial, record []byte) error {
	group := make([]byte, 0, len(p.group)+len(serial)+len(record)+2)
	group = append(group, p.group[:p.at]...)
	after := p.group[p.at:]
	if p.record != nil {
		_, after, _ = nextEntry(after)
	}
	if record != nil {
		group = append(group, byte(len(serial)))
		group = append(group, serial[min(shared, len(serial)):]...)
		group = append(append(group, byte(len(record))), record...)
	}
	if group = append(group, after...); len(group) == 0 {
		return records.Delete(p.key[:])
	}
	return records.Put(p.key[:], group)
}

// eachRecord calls fn with every record of a bucket, in the order of the serials.
func eachRecord(records *bbolt.Bucket, fn func(serial certs.Serial, record []byte) error) error {
	return records.ForEach(func(key, group []byte) error {
		for len(group) > 0 {
			e, after, ok := nextEntry(group)
			if !ok || len(key) != 3 {
				return &replica.Damage{What: fmt.Sprintf("the records of serials that begin with %x", key)}
			}
			if err := fn(certs.Serial(e.serial(nil, key)), e.record); err != nil {
				return err
			}
			group = after
		}
		return nil
	})
}
