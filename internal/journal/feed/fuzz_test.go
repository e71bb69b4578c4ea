package feed

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"cardinal/internal/journal"
)

func FuzzReadAnswer(f *testing.F) {
	var b bytes.Buffer
	c := journal.Change{Position: 1, Time: time.UnixMicro(5).UTC(), Kind: journal.KindEntryAdded, Version: 1, Last: true, Body: []byte("body")}
	c.Seal(journal.Hash{})
	o := outline{head: journal.Head{Epoch: 1, Position: 1, Link: c.Link, Time: time.UnixMicro(9).UTC()}, held: time.Millisecond, now: time.UnixMicro(10).UTC()}
	if err := writeAnswer(&b, o, []journal.Change{c}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	c.Erase()
	b.Reset()
	if err := writeAnswer(&b, o, []journal.Change{c, c}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:b.Len()-3])
	f.Add([]byte(answerMagic + "\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, changes, err := readAnswer(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, ErrUnreadable) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Skip("a varint that overflows")
			}
			return
		}
		var again bytes.Buffer
		if err := writeAnswer(&again, o, changes); err != nil || !bytes.Equal(again.Bytes(), data) {
			second, more, err := readAnswer(&again)
			if err != nil || second != o || len(more) != len(changes) {
				t.Errorf("% x\nwas read and written as\n% x", data, again.Bytes())
			}
		}
	})
}

func FuzzParseLease(f *testing.F) {
	l := Lease{Epoch: 1, Position: 2, AsOf: time.UnixMicro(3).UTC(), Loading: true, OCSPAge: time.Second, DirectoryAge: time.Minute, Version: "v", Ends: time.UnixMicro(4).UTC()}
	f.Add(l.Append(nil))
	f.Add((&Lease{}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ParseLease(b)
		if err == nil && !bytes.Equal(l.Append(nil), b) {
			t.Errorf("% x has two encodings", b)
		}
	})
}

func FuzzParseManifest(f *testing.F) {
	s := Snapshot{Position: 7, Buckets: []SnapshotBucket{{Name: "b", Layout: 1}}, Parts: []SnapshotPart{{Size: 1, Raw: 2}}}
	m := manifest{body: s.append(nil), checkpoint: []byte("c"), chain: [][]byte{[]byte("der")}}
	f.Add(m.append(nil))
	f.Add(m.append(nil)[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest(b)
		if err != nil {
			return
		}
		if !bytes.Equal(m.append(nil), b) {
			t.Errorf("% x has two encodings", b)
		}
		if s, err := parseSnapshot(m.body); err == nil && !bytes.Equal(s.append(nil), m.body) {
			t.Errorf("% x has two encodings", m.body)
		}
	})
}
