package directory_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"cardinal/directory"
)

// readAll reads all records; the error is nil at a clean end.
func readAll(in string) (out []*directory.Record, err error) {
	return readFrom(directory.NewLDIFReader(strings.NewReader(in)))
}

func readFrom(r *directory.LDIFReader) (out []*directory.Record, err error) {
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, rec)
	}
}

func TestLDIFReadsWhatRFC2849Shows(t *testing.T) {
	t.Parallel()
	in := "version: 1\r\n# a comment\r\n  that goes on\r\n\r\n\r\ndn: cn=Barbara J\r\n ensen,o=x\r\nobjectclass: top\r\ncn:Barbara\r\ncn: Babs\r\ndescription:: QmFzZTY0\r\nempty:\r\n" +
		"\r\ndn:: Y249w6k=\r\ncontrol: 1.2.3 false\r\nchangetype: add\r\ncn: é\r\n" +
		"\r\ndn: cn=a\r\nchangetype: modify\r\nadd: x\r\nx: 1\r\nx: 2\r\n-\r\ndelete: y\r\n-\r\nreplace: z;lang-de\r\nz;lang-de: 3\r\n-\r\nincrement: n\r\nn: 1\r\n" +
		"\r\ndn: cn=a\r\nchangetype: modrdn\r\nnewrdn: cn=b\r\ndeleteoldrdn: 1\r\nnewsuperior: o=y\r\n\r\ndn: cn=b\r\nchangetype: delete\r\n"
	recs, err := readAll(in)
	if err != nil || len(recs) != 5 {
		t.Fatalf("%d records, %v", len(recs), err)
	}
	if recs[0].DN.String() != "cn=Barbara Jensen,o=x" || recs[0].Line != 6 || recs[0].Offset != 45 ||
		len(recs[0].Entry.Get("cn")) != 2 || recs[0].Entry.First("description") != "Base64" || len(recs[0].Entry.Get("empty")) != 1 {
		t.Errorf("%+v", recs[0])
	}
	if recs[1].Kind != directory.RecordAdd || recs[1].DN.String() != "cn=é" {
		t.Errorf("%+v", recs[1])
	}
	m := recs[2].Mods
	if len(m) != 4 || m[0].Op != directory.ModAdd || len(m[0].Attribute.Values) != 2 || m[1].Op != directory.ModDelete ||
		m[2].Attribute.Type != "z;lang-de" || m[3].Op != directory.ModIncrement {
		t.Errorf("%+v", m)
	}
	v := recs[3].Move
	if v.NewRDN.String() != "cn=b" || !v.DeleteOldRDN || v.NewSuperior.String() != "o=y" || recs[4].Kind != directory.RecordDelete {
		t.Errorf("%+v", v)
	}
}

// Lines that are whole in memory are read in another way than those that come
// octet by octet.
func TestLDIFIsReadTheSameHoweverItComes(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"version: 1\n\ndn: cn=a,o=x\ncn: a\nsn:b\n\ndn: cn=b,cn=a,o=x\ncn: b\nCN: c\nsn:  d \n",
		"dn: cn=a, o=x\ncn: a\n\ndn: cn=b,cn=a\\,b,o=x\ncn: fol\n ded\n# not\n  this\nsn: é\n\n\ndn: cn=c,cn=a\\,b,o=x\ncn:: Yw==\n",
		"dn: cn=a,cn=b,cn=c,o=x\r\ncn: a\r\n\r\ndn: cn=b,cn=b,cn=c,o=x\r\ncn: \r\n",
		"dn: cn=a,o=x\ncn: a\nsn: \xff\n", "dn: cn=a,o=x\ncn: a\nsn", "dn: cn=a,,o=x\ncn: a\n", "dn: cn=a,cn=b,=x\ncn: a\n", "dn: cn=a,o=x\ncn a: b\n",
		"dn: cn=a,o=x\ncn: a\n-\n", "dn: cn=a,o=x\ncn:< file:a\n", "dn: cn=a,o=x\nobjectClass: a\ncn: b\n\ndn: cn=b,o=x\nobjectClass: a\ncnn: b\nc: d\n",
	} {
		readBothWays(t, in)
	}
}

func readBothWays(t *testing.T, in string) {
	t.Helper()
	whole, err := readPieces(in)
	slow, slowErr := readFrom(directory.NewLDIFReader(iotest.OneByteReader(strings.NewReader(in))))
	if !reflect.DeepEqual(whole, slow) || fmt.Sprint(err) != fmt.Sprint(slowErr) {
		t.Errorf("%q in one piece is %+v, %v, octet by octet %+v, %v", in, whole, err, slow, slowErr)
	}
}

func readPieces(in string) (out []*directory.Record, err error) {
	for pieces := directory.NewLDIFPieces(strings.NewReader(in)); ; {
		piece, err := pieces.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		recs, err := readFrom(piece)
		if out = append(out, recs...); err != nil {
			return out, err
		}
	}
}

func TestLDIFSaysWhereItIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what, in, want string
	}{
		{"no dn", "cn: x\n", "line 1 (byte 0)"},
		{"bad dn", "\n\ndn: x\ncn: y\n", "line 3 (byte 2)"},
		{"no colon", "dn: cn=x\ncn x\n", "line 2 (byte 9)"},
		{"bad base64", "dn: cn=x\ncn:: *\n", "line 2 (byte 9): cn: bad base64"},
		{"not UTF-8", "dn: cn=x\ncn: \xff\n", "line 2"},
		{"file", "dn: cn=x\njpegPhoto:< file:///etc/passwd\n", "line 2 (byte 9): jpegPhoto: values from files (:<) are refused"},
		{"cut", "dn: cn=x\ncn: x\nsn: hal", "line 3 (byte 15): the input ends in the middle"},
		{"cut in the first line", "dn: cn=x", "line 1"},
		{"cut in a folded line", "dn: cn=x\ncn: x\n y", "line 2"},
		{"no attributes", "dn: cn=x\n\n", "line 1 (byte 0): a record without attributes"},
		{"continuation first", " x\n", "line 1"},
		{"version", "version: 2\n", "line 1"},
		{"second dn", "dn: cn=x\ncn: x\ndn: cn=y\n", "line 3"},
		{"changetype late", "dn: cn=x\ncn: x\nchangetype: add\n", "line 3"},
		{"changetype unknown", "dn: cn=x\nchangetype: foo\n", "line 2"},
		{"other value", "dn: cn=x\nchangetype: modify\nadd: a\nb: x\n-\n", "line 4"},
		{"unknown mod", "dn: cn=x\nchangetype: modify\nad: a\n-\n", "line 3"},
		{"delete with text", "dn: cn=x\nchangetype: delete\ncn: x\n", "line 3"},
		{"modrdn alone", "dn: cn=x\nchangetype: modrdn\n", "line 2"},
		{"deleteoldrdn", "dn: cn=x\nchangetype: modrdn\nnewrdn: cn=y\ndeleteoldrdn: 2\n", "line 4"},
		{"critical control", "dn: cn=x\ncontrol: 1.2.3 true\nchangetype: delete\n", "line 2"},
		{"dash in an entry", "dn: cn=x\ncn: x\n-\n", "line 3"},
	} {
		_, err := readAll(c.in)
		var e *directory.LDIFError
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestLDIFKeepsEveryByte(t *testing.T) {
	t.Parallel()
	e := &directory.Entry{DN: mustDN(t, `cn=\20 é\, x,o=nhs`), Attributes: []directory.Attribute{
		{Type: "cn", Values: directory.Values(" lead", "trail ", ":colon", "<less", "", "é", "a\nb", "a\rb", "nul\x00", strings.Repeat("long ", 60)+"x", "#x", "\xff\xfe")},
	}}
	text := directory.AppendLDIF(nil, e)
	for line := range bytes.Lines(text) {
		if len(line) > 77 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	recs, err := readAll(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(directory.AppendLDIF(nil, recs[0].Entry), text) || len(recs[0].Entry.Get("cn")) != 12 {
		t.Errorf("got\n%s", directory.AppendLDIF(nil, recs[0].Entry))
	}
}

func TestLDIFOpensFilesOnlyWhenTold(t *testing.T) {
	t.Parallel()
	r := directory.NewLDIFReader(strings.NewReader("dn: cn=x\njpegPhoto:< file:///p.jpg\n"))
	r.OpenURL = func(u string) ([]byte, error) { return []byte("from " + u), nil }
	rec, err := r.Next()
	if err != nil || rec.Entry.First("jpegPhoto") != "from file:///p.jpg" {
		t.Errorf("%v %v", rec, err)
	}
}

func FuzzLDIF(f *testing.F) {
	f.Add("version: 1\n\ndn: cn=x\ncn: y\n z\n# c\nsn:: YQ==\n\ndn: cn=a\nchangetype: modify\nadd: x\nx: 1\n-\n")
	f.Add("dn: cn=a\nchangetype: moddn\nnewrdn: cn=b\ndeleteoldrdn: 0\n")
	f.Fuzz(func(t *testing.T, in string) {
		readBothWays(t, in)
		recs, _ := readAll(in)
		for _, rec := range recs {
			if rec.Entry == nil {
				continue
			}
			text := directory.AppendLDIF(nil, rec.Entry)
			again, err := readAll(string(text))
			if err != nil && strings.Contains(rec.DN.String(), `\`) {
				continue // a #hex value that is not text
			}
			if err != nil || len(again) != 1 || !bytes.Equal(directory.AppendLDIF(nil, again[0].Entry), text) {
				t.Fatalf("%q: %v", text, err)
			}
		}
	})
}

func BenchmarkLDIF(b *testing.B) {
	text := strings.Repeat(alex+"\n", 500)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if recs, err := readAll(text); err != nil || len(recs) != 500 {
			b.Fatal(err)
		}
	}
}
