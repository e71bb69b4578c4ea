package directory_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"cardinal/directory"
	"cardinal/internal/journal"
)

var update = flag.Bool("update", false, "write the golden files anew")

// body is what every change has.
type body interface{ Append([]byte) []byte }

// samples are one of each change, with the parser of its body.
func samples(t testing.TB) map[string]struct {
	change body
	parse  func([]byte) (body, error)
} {
	u := directory.UUID{1, 2, 3, 15: 255}
	dn := mustDN(t, "uid=900000000017,ou=People,o=nhs")
	m := mods(t, "replace: cn\ncn: x\ncn: é\n-\ndelete: sn\n-\nincrement: uidNumber\nuidNumber: 1\n-\n")
	e := entry(t, "dn: uid=900000000017,ou=People,o=nhs\nuid: 900000000017\njpegPhoto: \n")
	large := []directory.Large{{Attribute: 1, Value: 0, Content: journal.Hash{9: 7}, Size: 70000}}
	type sample = struct {
		change body
		parse  func([]byte) (body, error)
	}
	return map[string]sample{
		"added":    {&directory.EntryAdded{UUID: u, Entry: e, Large: large}, func(b []byte) (body, error) { return directory.ParseEntryAdded(b) }},
		"modified": {&directory.EntryModified{UUID: u, DN: dn, Mods: m}, func(b []byte) (body, error) { return directory.ParseEntryModified(b) }},
		"set": {&directory.EntriesModified{UUIDs: []directory.UUID{{1}, {2}, {2, 1}}, Mods: m},
			func(b []byte) (body, error) { return directory.ParseEntriesModified(b) }},
		"deleted": {&directory.EntryDeleted{UUID: u, DN: dn}, func(b []byte) (body, error) { return directory.ParseEntryDeleted(b) }},
		"moved": {&directory.EntryMoved{UUID: u, Old: dn, NewRDN: dn[0], NewSuperior: dn[2:], Mods: m},
			func(b []byte) (body, error) { return directory.ParseEntryMoved(b) }},
		"loaded": {&directory.SuffixLoaded{Suffix: dn[2:], Content: journal.Hash{1}, Size: 5, Entries: 709387},
			func(b []byte) (body, error) { return directory.ParseSuffixLoaded(b) }},
		"secrets": {&directory.SecretsChanged{Secrets: []directory.Secret{{UUID: u, Attribute: "userPassword", Values: directory.Values("{SSHA}x")}, {UUID: u, Attribute: "userPassword"}}},
			func(b []byte) (body, error) { return directory.ParseSecretsChanged(b) }},
		"manifest": {&directory.LoadManifest{Suffix: dn[2:], Entries: 3, Defaults: e.Attributes[:1], Blocks: []directory.LoadBlock{{Content: journal.Hash{5}, Size: 6, Entries: 3}}},
			func(b []byte) (body, error) { return directory.ParseLoadManifest(b) }},
	}
}

// TestChangesKeepTheirEncoding compares with files: journals are for ever.
func TestChangesKeepTheirEncoding(t *testing.T) {
	t.Parallel()
	for name, s := range samples(t) {
		b := s.change.Append(nil)
		file := filepath.Join("testdata", "changes", name+".hex")
		if *update {
			if err := os.WriteFile(file, []byte(hex.EncodeToString(b)+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || strings.TrimSpace(string(want)) != hex.EncodeToString(b) {
			t.Errorf("%s: %v: got %x", name, err, b)
		}
		x, err := s.parse(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !reflect.DeepEqual(x, s.change) && !bytes.Equal(x.Append(nil), b) {
			t.Errorf("%s: read as %+v", name, x)
		}
		for n := range b {
			if _, err := s.parse(b[:n]); err == nil {
				t.Errorf("%s: %d bytes of %d were taken", name, n, len(b))
			}
		}
		if _, err := s.parse(append(bytes.Clone(b), 0)); err == nil {
			t.Errorf("%s: a trailing byte was taken", name)
		}
	}
}

func FuzzChanges(f *testing.F) {
	parsers := samples(f)
	for name, s := range parsers {
		f.Add(name, s.change.Append(nil))
	}
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		s, ok := parsers[name]
		if !ok {
			return
		}
		x, err := s.parse(b)
		if err != nil {
			return
		}
		again, err := s.parse(x.Append(nil))
		if err != nil || !bytes.Equal(again.Append(nil), x.Append(nil)) {
			t.Fatalf("%x: %v", b, err)
		}
	})
}

func TestLargeValuesAreFetched(t *testing.T) {
	t.Parallel()
	m := journal.NewMemory()
	big := bytes.Repeat([]byte("x"), 9000)
	h := m.PutContent(big)
	open := func(h journal.Hash) (io.ReadCloser, error) { return m.Content(t.Context(), h) }
	a := directory.EntryAdded{Entry: entry(t, "dn: cn=a\ncn: a\njpegPhoto: y\n"), Large: []directory.Large{{Attribute: 1, Content: h, Size: 9000}}}
	x, err := directory.ParseEntryAdded(a.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Resolve(open); err != nil || !bytes.Equal(x.Entry.Get("jpegPhoto")[0], big) {
		t.Errorf("%v", err)
	}
	x.Large[0].Size = 8999
	if err := x.Resolve(open); err == nil {
		t.Error("a value of another size was taken")
	}
	x.Large[0].Content = journal.Hash{}
	if err := x.Resolve(open); !errors.Is(err, journal.ErrNoContent) {
		t.Errorf("%v", err)
	}
}

// blocks packs entries and returns the blocks.
func blocks(t testing.TB, entries []directory.LoadEntry) [][]byte {
	t.Helper()
	var out [][]byte
	names, seal := &directory.LoadNames{}, &directory.BlockSealer{}
	p := directory.NewEntryPacker(names)
	w := directory.NewBlockWriter(names, func(b *directory.Block) error {
		out = append(out, seal.Seal(b))
		return nil
	})
	for _, e := range entries {
		if err := w.Add(p.Append(nil, e.UUID, e.Entry)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out
}

func someEntries(t testing.TB, n int) []directory.LoadEntry {
	out := []directory.LoadEntry{{UUID: directory.UUID{9}, Entry: entry(t, "dn: ou=People,o=nhs\nobjectClass: top\nobjectClass: organizationalUnit\nou: People\n")}}
	for i := range n {
		e := entry(t, strings.ReplaceAll(alex, "900000000017", fmt.Sprintf("9%011d", i)))
		out = append(out, directory.LoadEntry{UUID: directory.UUID{byte(i), byte(i >> 8), 0, 1}, Entry: e})
	}
	return out
}

// blockDefaults lack or repeat what the entries have.
func blockDefaults() []directory.Attribute {
	return []directory.Attribute{{Type: "createTimestamp", Values: directory.Values("20240101120000Z")}, {Type: "creatorsName", Values: directory.Values("")}}
}

// sameEntries compares what came out of blocks with what was put in.
func sameEntries(t *testing.T, got, in []directory.LoadEntry) {
	t.Helper()
	if len(got) != len(in) {
		t.Fatalf("%d entries of %d", len(got), len(in))
	}
	for n, e := range got {
		want := in[n].Entry.Clone()
		for _, d := range blockDefaults() {
			if want.Attribute(d.Type) == nil {
				want.Put(d.Type, d.Values...)
			}
			stamp := e.Entry.Get(d.Type) // a default may stand elsewhere in the order
			e.Entry.Put(d.Type)
			e.Entry.Put(d.Type, stamp...)
			stamp = want.Get(d.Type)
			want.Put(d.Type)
			want.Put(d.Type, stamp...)
		}
		if e.UUID != in[n].UUID || string(directory.AppendLDIF(nil, e.Entry)) != string(directory.AppendLDIF(nil, want)) {
			t.Fatalf("entry %d:\n%s\nnot\n%s", n, directory.AppendLDIF(nil, e.Entry), directory.AppendLDIF(nil, want))
		}
	}
}

func TestLoadBlocksHoldWhatWasPutIn(t *testing.T) {
	t.Parallel()
	in := someEntries(t, 600)
	packed := blocks(t, in)
	if len(packed) < 2 {
		t.Fatalf("%d blocks", len(packed))
	}
	var all []directory.LoadEntry
	for _, b := range packed {
		got, err := directory.ParseLoadBlock(b, blockDefaults())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, got...)
		for _, i := range []int{0, 2, 5, len(b) / 2, len(b) - 1} {
			bad := bytes.Clone(b)
			bad[i] ^= 1
			if _, err := directory.ParseLoadBlock(bad, blockDefaults()); err == nil {
				t.Errorf("a block with byte %d flipped was taken", i)
			}
		}
		if _, err := directory.ParseLoadBlock(b[:len(b)-1], nil); err == nil {
			t.Error("a cut block was taken")
		}
	}
	sameEntries(t, all, in)
}

// testdata/block1 was written by the program that wrote version 1.
func TestLoadBlockOfVersion1IsRead(t *testing.T) {
	t.Parallel()
	old, err := os.ReadFile("testdata/block1")
	if err != nil {
		t.Fatal(err)
	}
	got, err := directory.ParseLoadBlock(old, blockDefaults())
	if err != nil {
		t.Fatal(err)
	}
	sameEntries(t, got, someEntries(t, 20))
	if _, err := directory.OpenBlock(old); err == nil {
		t.Error("OpenBlock took it for one of version 2")
	}
	b, err := directory.NewBlockUpgrade().Open(old)
	if err != nil || b.Left != 21 {
		t.Fatalf("upgraded: %v", err)
	}
	var raw directory.RawEntry
	for n := 0; b.Next(&raw); n++ {
		if directory.UUID(raw.UUID) != got[n].UUID || raw.Count == 0 {
			t.Fatalf("entry %d: %x", n, raw.UUID)
		}
		for range raw.Count {
			raw.Attribute()
		}
	}
	if err := b.Err(); err != nil {
		t.Error(err)
	}
}

func TestLoadGivesUUIDsThatRise(t *testing.T) {
	t.Parallel()
	in := someEntries(t, 300)
	for i := range in {
		in[i].UUID = directory.UUID{}
	}
	last := directory.UUID{}
	for _, b := range blocks(t, in) {
		got, err := directory.ParseLoadBlock(b, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range got {
			if bytes.Compare(e.UUID[:], last[:]) <= 0 || e.UUID[6]>>4 != 7 || e.UUID[8]>>6 != 2 {
				t.Fatalf("%s after %s", e.UUID, last)
			}
			last = e.UUID
		}
	}
}

func FuzzLoadBlock(f *testing.F) {
	f.Add(blocks(f, someEntries(f, 3))[0])
	old, err := os.ReadFile("testdata/block1")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(old)
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = directory.ParseLoadBlock(b, nil) })
}

func TestCSNNamesAPosition(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 19, 24, 0, 123456000, time.UTC)
	last := ""
	for _, p := range []journal.Position{1, 0xffffff, 0x1000000, 0x123456789abc} {
		c := string(directory.CSN(at, p))
		if c <= last {
			t.Errorf("%s is not after %s", c, last)
		}
		last = c
		back, q, ok := directory.ParseCSN(c)
		if !ok || q != p || !back.Equal(at) {
			t.Errorf("%s: %v %v %v", c, back, q, ok)
		}
		if err := schema(t).Attribute("entryCSN").Syntax.Validate([]byte(c)); err != nil {
			t.Error(err)
		}
	}
	if last != "20261121192400.123456Z#123456#000#789abc" {
		t.Error(last)
	}
}
