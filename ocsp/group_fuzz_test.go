package ocsp

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"

	"cardinal/certs"
)

// FuzzGroup puts records in and takes some out again, and expects what a map would hold, in order; of octets that are no
// group it asks for no more than not to fail.
func FuzzGroup(f *testing.F) {
	f.Add([]byte{1, 2, 3, 1, 2, 4, 0, 0, 0x81, 1, 2, 3}, []byte{5, 1, 2, 3, 2, 9, 9})
	f.Add([]byte{0xff, 0xff, 0xff}, []byte{2, 1, 7, 1, 0})
	f.Fuzz(func(t *testing.T, script, raw []byte) {
		for left := raw; len(left) > 0; {
			e, after, ok := nextEntry(left)
			if !ok {
				break
			}
			if len(after) >= len(left) || len(e.serial(nil, []byte{1, 2, 0})) != e.length {
				t.Fatalf("entry %+v of %x", e, left)
			}
			left = after
		}
		_, _, _ = findEntry(raw, []byte{1, 2, 3})
		compareWithMap(t, script)
	})
}

func compareWithMap(t *testing.T, script []byte) {
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "db"), 0o600, &bbolt.Options{NoSync: true, NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	want := map[certs.Serial][]byte{}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		if err != nil {
			return err
		}
		for at := 0; at+3 <= len(script) && at < 90; at += 3 {
			serial := certs.Serial(append([]byte{1 + script[at]&3}, bytes.Repeat(script[at+1:at+2], int(script[at]>>2)%20)...))
			record := bytes.Repeat([]byte{script[at+2]}, 1+int(script[at+2])%40)
			if script[at+2] > 0xc0 {
				record = nil
				delete(want, serial)
			} else {
				want[serial] = record
			}
			p, err := placeOf(b, serial)
			if err == nil {
				err = p.put(b, serial, record)
			}
			if err != nil {
				return err
			}
		}
		var order []certs.Serial
		if err := eachRecord(b, func(s certs.Serial, record []byte) error {
			order = append(order, s)
			key := groupKey([]byte(s))
			if _, found, ok := findEntry(b.Get(key[:]), []byte(s)); !ok || !bytes.Equal(found, want[s]) || !bytes.Equal(record, want[s]) {
				t.Errorf("serial %x: %x, %x, want %x", s, found, record, want[s])
			}
			return nil
		}); err != nil {
			return err
		}
		if len(order) != len(want) || !slices.IsSorted(order) {
			t.Errorf("serials %x, want %d in order", order, len(want))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
