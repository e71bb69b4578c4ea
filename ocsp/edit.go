package ocsp

import (
	"bytes"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"cardinal/certs"
	"cardinal/internal/replica"
)

// outcome is what becomes of a record.
type outcome uint8

const (
	recordStays outcome = iota
	recordPut
	recordGoes
)

// appendFill is how full pages are left that new certificates fill from the end: a hold makes a record a fifth longer, and
// when it comes to all of them at once, no page need be parted.
const appendFill = 0.8

// editor changes records, each group once.
type editor struct {
	bucket  *bbolt.Bucket
	cursor  *bbolt.Cursor
	end     []byte  // key of the group in hand; empty: none is
	entries []entry // of it, with whole serials
	changed bool
	now     Record // in hand
	room    []byte // where serials and records are put together
	wanted  [certs.SerialMax + 1]byte
}

// editRecords changes the records of serials, which must ascend. It hands each to fn, an empty one if there is none.
func editRecords(b *bbolt.Bucket, serials []certs.Serial, fn func(i int, r *Record) outcome) error {
	e := &editor{bucket: b, cursor: b.Cursor(), room: make([]byte, 0, 4096)}
	for i, serial := range serials {
		if err := e.reach(serial); err != nil {
			return err
		}
		at, found := slices.BinarySearchFunc(e.entries, serial, compareEntry)
		e.now = Record{}
		if found {
			var ok bool
			if e.now, ok = parseRecord(e.entries[at].record); !ok {
				return &replica.Damage{What: "the record of serial " + serial.Hex()}
			}
		}
		var err error
		switch o := fn(i, &e.now); {
		case o == recordPut && found:
			e.entries[at].record, e.changed = e.record(), true
		case o == recordPut:
			err = e.insert(at, entry{e.keep(nil, []byte(serial)), e.record()})
		case o == recordGoes && found:
			e.entries, e.changed = slices.Delete(e.entries, at, at+1), true
		}
		if err != nil {
			return fmt.Errorf("writing the record of serial %s: %w", serial, err)
		}
	}
	return e.flush()
}

func compareEntry(e entry, serial certs.Serial) int {
	switch {
	case string(e.serial) < string(serial):
		return -1
	case string(e.serial) > string(serial):
		return 1
	}
	return 0
}

// reach takes the group of a serial in hand.
func (e *editor) reach(serial certs.Serial) error {
	if string(serial) < string(e.end) {
		return nil
	}
	if err := e.flush(); err != nil {
		return err
	}
	end, group := groupOf(e.cursor, serial, &e.wanted)
	if end == nil {
		e.end = append(e.end[:0], endOfAll...)
		return nil
	}
	e.end = append(e.end[:0], end...)
	shared, list, ok := cutShared(group)
	for ok && len(list) > 0 {
		var one entry
		if one, list, ok = nextEntry(list, len(shared)); ok {
			one.serial = e.keep(shared, one.serial)
			e.entries = append(e.entries, one)
		}
	}
	if !ok {
		return &replica.Damage{What: "the records beside serial " + serial.Hex()}
	}
	return nil
}

// keep puts octets together where they stay until the group is written.
func (e *editor) keep(a, b []byte) []byte {
	from := len(e.room)
	e.room = append(append(e.room, a...), b...)
	return e.room[from:len(e.room):len(e.room)]
}

// record is the one in hand as it is stored.
func (e *editor) record() []byte {
	from := len(e.room)
	e.room = e.now.append(e.room)
	return e.room[from:len(e.room):len(e.room)]
}

// insert adds a record to the group in hand.
func (e *editor) insert(at int, added entry) error {
	e.entries, e.changed = slices.Insert(e.entries, at, added), true
	if at == len(e.entries)-1 && bytes.Equal(e.end, endOfAll) {
		e.bucket.FillPercent = appendFill
	}
	if len(e.entries) > groupMost {
		return e.part(at)
	}
	return nil
}

// part makes two groups of one that has become too large, and writes the one that was not added to. What comes last in a
// group is followed by more, as a rule: it begins the second.
func (e *editor) part(added int) error {
	at := len(e.entries) / 2
	if added == len(e.entries)-1 {
		at = added
	}
	before, after := e.entries[:at], e.entries[at:]
	begin := after[0].serial
	end := begin[:sharedLength(before[len(before)-1].serial, begin)+1]
	if added < at {
		err := e.put(e.end, after)
		e.end, e.entries = append(e.end[:0], end...), before
		return err
	}
	err := e.put(end, before)
	e.entries = append(e.entries[:0], after...)
	return err
}

func (e *editor) put(end []byte, entries []entry) error {
	return e.bucket.Put(end, appendGroup(make([]byte, 0, groupOctets(entries)), entries))
}

func groupOctets(entries []entry) (n int) {
	for i := range entries {
		n += 2 + len(entries[i].serial) + len(entries[i].record)
	}
	return n // at least: what is shared is counted more than once
}

// flush writes the group in hand.
func (e *editor) flush() (err error) {
	switch {
	case !e.changed:
	case len(e.entries) == 0:
		err = e.bucket.Delete(e.end)
	default:
		err = e.put(e.end, e.entries)
	}
	e.end, e.entries, e.room, e.changed = e.end[:0], e.entries[:0], e.room[:0], false
	return err
}
