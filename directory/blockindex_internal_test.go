package directory

import (
	"bytes"
	"os"
	"reflect"
	"testing"
)

// alike demands that an index gives what reading the whole block does.
func alike(t *testing.T, data []byte, defaults []Attribute) int {
	t.Helper()
	all, err := ParseLoadBlock(data, defaults)
	x, indexErr := IndexBlock(data, defaults)
	return same(t, read{all, err}, x, indexErr)
}

// read is what reading a whole block gave.
type read struct {
	all []LoadEntry
	err error
}

func same(t *testing.T, whole read, x *BlockIndex, indexErr error) int {
	t.Helper()
	all, err := whole.all, whole.err
	if indexErr != nil {
		if err == nil {
			t.Fatalf("a whole block has no index: %v", indexErr)
		}
		return 0
	}
	var raw RawAdded
	for i := range x.Len() {
		got, entryErr := x.Entry(i)
		rawErr := x.Raw(i, &raw)
		if (entryErr == nil) != (rawErr == nil) {
			t.Fatalf("entry %d: %v, raw %v", i, entryErr, rawErr)
		}
		if entryErr != nil {
			if err == nil {
				t.Fatalf("entry %d of a whole block: %v", i, entryErr)
			}
			continue
		}
		if err == nil && !reflect.DeepEqual(got, all[i]) {
			t.Fatalf("entry %d is %v, not %v", i, got, all[i])
		}
		body, _ := raw.Append(nil, "")
		if want := (&EntryAdded{UUID: got.UUID, Entry: got.Entry}).Append(nil); !raw.Large && !bytes.Equal(body, want) {
			t.Fatalf("entry %d: body %q, not %q", i, body, want)
		}
	}
	if err == nil && x.Len() != len(all) {
		t.Fatalf("%d entries of %d", x.Len(), len(all))
	}
	return x.Len()
}

func indexDefaults() []Attribute {
	return []Attribute{{Type: "creatorsName", Values: Values("cn=load")}, {Type: "CN", Values: Values("never")}}
}

func TestAnIndexOfABlockGivesItsEntries(t *testing.T) {
	t.Parallel()
	old, err := os.ReadFile("testdata/block1")
	if err != nil {
		t.Fatal(err)
	}
	if n := alike(t, old, indexDefaults()); n != 21 {
		t.Errorf("%d entries of a block of version 1", n)
	}
	if n := alike(t, (&BlockSealer{}).Seal(&Block{content: someContent(t)}), indexDefaults()); n != 21 {
		t.Errorf("%d entries", n)
	}
}

// someContent is the content of a block in the newest version.
func someContent(t testing.TB) []byte {
	t.Helper()
	old, err := os.ReadFile("testdata/block1")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := ParseLoadBlock(old, nil)
	if err != nil {
		t.Fatal(err)
	}
	names := &LoadNames{}
	var content []byte
	w := NewBlockWriter(names, func(b *Block) error { content = b.content; return nil })
	for _, e := range entries {
		if err := w.Add(NewEntryPacker(names).Append(nil, e.UUID, e.Entry)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return content
}

func FuzzBlockIndex(f *testing.F) {
	f.Add(someContent(f))
	f.Fuzz(func(t *testing.T, content []byte) {
		r, err := openContent(content)
		if err != nil {
			return
		}
		all, err := parseBlock(r, indexDefaults())
		r, _ = openContent(content)
		x, indexErr := newBlockIndex(r, indexDefaults())
		same(t, read{all, err}, x, indexErr)
	})
}

func FuzzRawAdded(f *testing.F) {
	e := &Entry{DN: DN{{{Type: "cn", Value: []byte("a")}, {Type: "sn", Value: []byte("b")}}, {{Type: "o", Value: []byte("nhs")}}}}
	e.PutString("cn", "a", "c")
	e.PutString("sn", "b")
	f.Add((&EntryAdded{UUID: UUID{1}, Entry: e}).Append(nil), "sn", []byte("d"))
	f.Add((&EntryAdded{UUID: UUID{1}, Entry: e, Large: []Large{{Attribute: 0, Value: 1, Size: 9000}}}).Append(nil), "mail", []byte("d"))
	f.Fuzz(func(t *testing.T, body []byte, description string, value []byte) {
		want, err := ParseEntryAdded(body)
		var x RawAdded
		rawErr := ParseRawAdded(body, &x)
		if rawErr != nil && err == nil || rawErr == nil && err != nil && !x.Large {
			t.Fatalf("%v, raw %v", err, rawErr)
		}
		if err != nil || x.Large {
			return
		}
		if got, _ := x.Append(nil, ""); !bytes.Equal(got, body) {
			t.Fatalf("%q became %q", body, got)
		}
		put := Attribute{Type: description, Values: [][]byte{value}}
		x.Put(NewRawAttribute(&put))
		want.Entry.Put(description, value)
		got, at := x.Append(nil, description)
		if !bytes.Equal(got, want.Append(nil)) {
			t.Fatalf("%q with %q became %q", body, put, got)
		}
		if at > 0 && !bytes.HasPrefix(got[at:], NewRawAttribute(&put).Values) {
			t.Fatalf("%q stands not at %d of %q", value, at, got)
		}
	})
}
