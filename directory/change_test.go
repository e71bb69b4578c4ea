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
func blocks(t testing.TB, entries []directory.LoadEntry, defaults []directory.Attribute) [][]byte {
	t.Helper()
	var out [][]byte
	w := directory.NewBlockWriter(defaults, func(_ directory.DN, _ uint64, data []byte) error {
		out = append(out, bytes.Clone(data))
		return nil
	})
	for _, e := range entries {
		if err := w.Add(e.UUID, e.Entry); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out
}

func someEntries(t testing.TB, n int) []directory.LoadEntry {
	var out []directory.LoadEntry
	for i := range n {
		e := entry(t, strings.ReplaceAll(alex, "900000000017", fmt.Sprintf("9%011d", i)))
		out = append(out, directory.LoadEntry{UUID: directory.UUID{byte(i), byte(i >> 8)}, Entry: e})
	}
	return out
}

func TestLoadBlocksHoldWhatWasPutIn(t *testing.T) {
	t.Parallel()
	defaults := []directory.Attribute{{Type: "createTimestamp", Values: directory.Values("20240101120000Z")}, {Type: "creatorsName", Values: directory.Values("")}}
	in := someEntries(t, 600)
	packed := blocks(t, in, defaults)
	if len(packed) < 2 {
		t.Fatalf("%d blocks", len(packed))
	}
	n := 0
	for _, b := range packed {
		got, err := directory.ParseLoadBlock(b, defaults)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range got {
			want := in[n].Entry.Clone()
			stamp := want.First("createTimestamp")
			want.Put("createTimestamp")
			want.PutString("createTimestamp", stamp)
			want.PutString("creatorsName", "")
			if e.UUID != in[n].UUID || string(directory.AppendLDIF(nil, e.Entry)) != string(directory.AppendLDIF(nil, want)) {
				t.Fatalf("entry %d:\n%s", n, directory.AppendLDIF(nil, e.Entry))
			}
			n++
		}
		for _, i := range []int{0, 2, 5, len(b) / 2, len(b) - 1} {
			bad := bytes.Clone(b)
			bad[i] ^= 1
			if _, err := directory.ParseLoadBlock(bad, defaults); err == nil {
				t.Errorf("a block with byte %d flipped was taken", i)
			}
		}
		if _, err := directory.ParseLoadBlock(b[:len(b)-1], defaults); err == nil {
			t.Error("a cut block was taken")
		}
	}
	if n != len(in) {
		t.Errorf("%d entries of %d", n, len(in))
	}
}

func FuzzLoadBlock(f *testing.F) {
	f.Add(blocks(f, someEntries(f, 3), nil)[0])
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
