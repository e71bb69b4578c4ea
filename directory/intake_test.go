package directory_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"cardinal/directory"
)

// An Intake either leaves an entry to Canonical and Check or comes to the same.
func TestIntakeDecidesAsCanonicalAndCheckDo(t *testing.T) {
	t.Parallel()
	schema, err := directory.DefaultSchema()
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{"objectClass: nhsPerson", "objectClass: inetOrgPerson", "objectclass: person", "objectClass: organization",
		"objectClass: top", "objectClass: extensibleObject", "cn: A", "CN: B", "cn: a", "cn;lang-en: C", "2.5.4.3: D", "sn: S", "surname: T", "o: O",
		"uid: 1", "uid: 2", "nhsPersonStatus: 1", "nhsPersonStatus: 2", "createTimestamp: 20200101000000Z", "createTimestamp: no",
		"description;x-a: d", "telephoneNumber: 1", "telephoneNumber: ü", "unknown: x", "userCertificate: x", "mail: a@b"}
	random := rand.New(rand.NewPCG(5, 6))
	intake := schema.NewIntake()
	taken := 0
	for range 5_000 {
		ldif := "dn: " + []string{"uid=1", "uid=1", "uid=3", "cn=A", "cn=a", "cn=A+uid=1", "x=1", "objectClass=top"}[random.IntN(8)] + ",o=nhs\n" +
			"objectClass: nhsPerson\nobjectClass: inetOrgPerson\nuid: 1\ncn: A\nsn: S\nnhsPersonStatus: 1\n"
		if random.IntN(3) == 0 {
			ldif = ldif[:strings.Index(ldif, "\n")+1]
		}
		for range random.IntN(4) {
			ldif += lines[random.IntN(len(lines))] + "\n"
		}
		e := mustRecord(t, ldif)
		if e == nil {
			continue
		}
		want, wrong := schema.Canonical(e)
		if wrong == nil {
			wrong = schema.Check(want)
		}
		class, ok := intake.Take(e)
		if !ok {
			continue
		}
		taken++
		if wrong != nil {
			t.Fatalf("%v, but it was taken:\n%s", wrong, ldif)
		}
		structural, err := schema.StructuralClass(want)
		if err != nil || class != structural || string(directory.AppendLDIF(nil, e)) != string(directory.AppendLDIF(nil, want)) {
			t.Fatalf("%s\nbecame\n%s\nnot\n%s", ldif, directory.AppendLDIF(nil, e), directory.AppendLDIF(nil, want))
		}
	}
	if taken < 250 {
		t.Errorf("only %d entries were ordinary", taken)
	}
}

// mustRecord reads one entry; nil where LDIF already refuses it.
func mustRecord(t *testing.T, ldif string) *directory.Entry {
	rec, err := directory.NewLDIFReader(strings.NewReader(ldif + "\n")).Next()
	if err != nil {
		return nil
	}
	return rec.Entry
}

// all reads every record, and what ended the reading.
func all(next func() (*directory.Record, error)) (out []string) {
	for {
		rec, err := next()
		if err != nil {
			return append(out, err.Error())
		}
		out = append(out, fmt.Sprintf("%d %d %s %v", rec.Line, rec.Offset, rec.DN, rec.Entry))
	}
}

// inPieces reads LDIF piece by piece.
func inPieces(text string) func() (*directory.Record, error) {
	pieces := directory.NewLDIFPieces(strings.NewReader(text))
	r := directory.NewLDIFReader(strings.NewReader(""))
	return func() (*directory.Record, error) {
		for {
			rec, err := r.Next()
			if !errors.Is(err, io.EOF) {
				return rec, err
			}
			if r, err = pieces.Next(); err != nil {
				return nil, err
			}
		}
	}
}

// someLDIF writes records in all sorts of ways.
func someLDIF(random *rand.Rand) string {
	var b strings.Builder
	b.WriteString([]string{"", "version: 1\n", "# a comment\n\nversion: 1\n\n"}[random.IntN(3)])
	newline := []string{"\n", "\r\n"}[random.IntN(2)]
	for i := range 1 + random.IntN(5_000) {
		fmt.Fprintf(&b, "dn: uid=%d,ou=%s,o=nhs%suid: %d%s", i, []string{"People", `Pe\,ople`, "A+cn=b"}[random.IntN(3)], newline, i, newline)
		for range random.IntN(3) {
			b.WriteString("description: " + strings.Repeat("x", random.IntN(90)) + newline + []string{"", " folded" + newline, "# said" + newline}[random.IntN(3)])
		}
		b.WriteString(strings.Repeat(newline, 1+random.IntN(2)))
	}
	return b.String()
}

func TestPiecesOfLDIFReadAsTheWhole(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 8))
	for round := range 12 {
		text := someLDIF(random)
		at := random.IntN(len(text))
		switch round % 4 {
		case 1:
			text = text[:at]
		case 2:
			text = text[:at] + "\x01" + text[at:]
		}
		got, want := all(inPieces(text)), all(directory.NewLDIFReader(strings.NewReader(text)).Next)
		if len(got) != len(want) || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("round %d: %d records, not %d; the last %q, not %q", round, len(got), len(want), got[len(got)-1], want[len(want)-1])
		}
	}
}
