package ocsp

import (
	"bytes"
	"fmt"

	"go.etcd.io/bbolt"

	"cardinal/certs"
	"cardinal/internal/replica"
)

// Records are stored in groups of neighbouring serials, at most groupMost in one value of the store: a key of its own would
// cost each record 16 octets of the page it is on and the whole serial. Serials rise with time, so what was made together,
// and becomes invalid together in an order, is in few groups.
//
// The key is the end of the group: all serials in it are less, and no less than the end of the group before. It is as short
// as it can be to part the two; that of the last group is endOfAll. The groups follow from the changes in their order,
// however they are cut into batches.
//
// The value is how many octets all its serials begin with, those octets, and the list in the order of the serials: of each
// the serial's length, what follows what is shared, the record's length, the record. Lengths are single octets.

// groupMost is how many records a group holds: as many again take 3 octets a record less, and twice as long to write anew.
const groupMost = 8

// endOfAll is greater than every serial.
var endOfAll = bytes.Repeat([]byte{0xff}, certs.SerialMax+1)

// entry is one record of a group.
type entry struct {
	serial []byte // in a group as stored, without what is shared
	record []byte
}

// cutShared takes what all serials share off a group; false for one that is damaged.
func cutShared(group []byte) (shared, list []byte, ok bool) {
	if len(group) == 0 || int(group[0]) > certs.SerialMax || len(group) < 1+int(group[0]) {
		return nil, nil, false
	}
	end := 1 + int(group[0])
	return group[1:end], group[end:], true
}

// nextEntry takes the first entry off a list; false for one that is damaged.
func nextEntry(list []byte, shared int) (e entry, after []byte, ok bool) {
	if len(list) < 2 || list[0] == 0 || int(list[0]) > certs.SerialMax || int(list[0]) < shared {
		return e, nil, false
	}
	rest := int(list[0]) - shared
	if len(list) < 2+rest {
		return e, nil, false
	}
	e.serial = list[1 : 1+rest]
	end := 2 + rest + int(list[1+rest])
	if len(list) < end {
		return e, nil, false
	}
	e.record = list[2+rest : end]
	return e, list[end:], true
}

// findEntry looks for a serial in its group; record is nil if it is not there, ok false for a damaged group.
func findEntry(group, serial []byte) (record []byte, ok bool) {
	if len(group) == 0 {
		return nil, true
	}
	shared, list, ok := cutShared(group)
	if !ok {
		return nil, false
	}
	rest, within := bytes.CutPrefix(serial, shared)
	if !within {
		return nil, true
	}
	for len(list) > 0 {
		e, after, good := nextEntry(list, len(shared))
		if !good {
			return nil, false
		}
		switch order := bytes.Compare(e.serial, rest); {
		case order == 0:
			return e.record, true
		case order > 0:
			return nil, true
		}
		list = after
	}
	return nil, true
}

// groupOf gives the group that holds a serial, or would: nil if there is none. The room is for the key that is looked for.
func groupOf[S ~string | ~[]byte](c *bbolt.Cursor, serial S, room *[certs.SerialMax + 1]byte) (end, group []byte) {
	return c.Seek(append(append(room[:0], serial...), 0)) // what is greater than the serial is as great, or greater
}

// appendGroup writes entries, whose serials are whole.
func appendGroup(b []byte, entries []entry) []byte {
	shared := sharedLength(entries[0].serial, entries[len(entries)-1].serial)
	b = append(append(b, byte(shared)), entries[0].serial[:shared]...)
	for i := range entries {
		e := &entries[i]
		b = append(append(b, byte(len(e.serial))), e.serial[shared:]...)
		b = append(append(b, byte(len(e.record))), e.record...)
	}
	return b
}

// sharedLength is how many octets two serials begin with alike.
func sharedLength(a, b []byte) (n int) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// eachRecord calls fn with every record of a bucket, in the order of the serials.
func eachRecord(records *bbolt.Bucket, fn func(serial certs.Serial, record []byte) error) error {
	var serial []byte
	return records.ForEach(func(key, group []byte) error {
		shared, list, ok := cutShared(group)
		for ok && len(list) > 0 {
			var e entry
			if e, list, ok = nextEntry(list, len(shared)); !ok {
				break
			}
			serial = append(append(serial[:0], shared...), e.serial...)
			if err := fn(certs.Serial(serial), e.record); err != nil {
				return err
			}
		}
		if !ok {
			return &replica.Damage{What: fmt.Sprintf("the records of serials before %x", key)}
		}
		return nil
	})
}
