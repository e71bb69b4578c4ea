package ber_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"testing"

	"cardinal/internal/ber"
)

func TestParseHeaderAcceptsEveryDefiniteForm(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]ber.Header{
		"3005":                 {Tag: 0x30, Size: 2, Length: 5},
		"308105":               {Tag: 0x30, Size: 3, Length: 5},
		"30840000000a":         {Tag: 0x30, Size: 6, Length: 10},
		"3088000000000000000a": {Tag: 0x30, Size: 10, Length: 10},
		"7f4982010a":           {Tag: 0x7F49, Size: 5, Length: 266},
		"5fc10503":             {Tag: 0x5FC105, Size: 4, Length: 3},
	} {
		got, err := ber.ParseHeader(unhex(t, in))
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", in, got, err, want)
		}
	}
}

func TestParseHeaderNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]error{
		"":                     ber.ErrShort,
		"30":                   ber.ErrShort,
		"3084":                 ber.ErrShort,
		"30840000":             ber.ErrShort,
		"7f":                   ber.ErrShort,
		"3080":                 ber.ErrIndefinite,
		"3084ffffffff":         ber.ErrLength,
		"30887fffffffffffffff": ber.ErrLength,
		"30890000":             ber.ErrLength,
		"30ff":                 ber.ErrLength,
		"5f8181818101":         ber.ErrTag,
	} {
		if _, err := ber.ParseHeader(unhex(t, in)); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", in, err, want)
		}
	}
}

func TestReaderWalksNestedElements(t *testing.T) {
	t.Parallel()
	b, outer := ber.Begin(nil, ber.Sequence)
	b = ber.AppendInt(b, ber.Integer, 300)
	b = ber.AppendBool(b, ber.Boolean, true)
	b, inner := ber.Begin(b, ber.Context|ber.Constructed|3)
	b = ber.AppendString(b, ber.OctetString, "abc")
	b = ber.End(b, inner)
	b = ber.End(b, outer)

	top := ber.NewReader(b)
	seq, err := top.Enter(ber.Sequence)
	if err != nil || top.End() != nil {
		t.Fatal(err)
	}
	if v, err := seq.Int(ber.Integer); err != nil || v != 300 {
		t.Fatalf("got %d, %v", v, err)
	}
	if v, err := seq.Bool(ber.Boolean); err != nil || !v {
		t.Fatalf("got %v, %v", v, err)
	}
	if _, there, err := seq.Optional(ber.OctetString); there || err != nil {
		t.Fatalf("an absent element was found: %v", err)
	}
	in, err := seq.Enter(0xA3)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := in.Expect(ber.OctetString); err != nil || string(v) != "abc" {
		t.Fatalf("got %q, %v", v, err)
	}
	if !in.Empty() || !seq.Empty() {
		t.Fatal("octets are left")
	}
}

func TestReaderRefusesLengthBeyondInput(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"0405616263", "04847ffffff0", "3003020500"} {
		r := ber.NewReader(unhex(t, in))
		if in[:2] == "30" {
			var err error
			if r, err = r.Enter(ber.Sequence); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := r.Next(); !errors.Is(err, ber.ErrShort) {
			t.Errorf("%s: got %v", in, err)
		}
	}
}

func TestIntegersSurviveAndAreMinimal(t *testing.T) {
	t.Parallel()
	for v, want := range map[int64]string{
		0: "020100", 127: "02017f", 128: "02020080", -1: "0201ff", -128: "020180", -129: "0202ff7f",
		math.MaxInt32: "02047fffffff", math.MaxInt64: "02087fffffffffffffff", math.MinInt64: "02088000000000000000",
	} {
		b := ber.AppendInt(nil, ber.Integer, v)
		if hex.EncodeToString(b) != want {
			t.Errorf("%d: wrote %x, want %s", v, b, want)
		}
		r := ber.NewReader(b)
		if got, err := r.Int(ber.Integer); err != nil || got != v {
			t.Errorf("%d: read %d, %v", v, got, err)
		}
	}
}

func TestIntAcceptsLeadingZerosAndRefusesEmpty(t *testing.T) {
	t.Parallel()
	if v, err := ber.ParseInt(unhex(t, "00000001")); err != nil || v != 1 {
		t.Errorf("got %d, %v", v, err)
	}
	for _, in := range []string{"", "000000000000000001"} {
		if _, err := ber.ParseInt(unhex(t, in)); !errors.Is(err, ber.ErrValue) {
			t.Errorf("%q: got %v", in, err)
		}
	}
	if _, err := ber.ParseBool(unhex(t, "0101")); !errors.Is(err, ber.ErrValue) {
		t.Errorf("a two-octet BOOLEAN: got %v", err)
	}
}

func TestEndWritesTheShortestLength(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 127, 128, 255, 256, 65535, 65536, 1 << 24} {
		value := bytes.Repeat([]byte{'x'}, n)
		want := ber.Append(nil, ber.OctetString, value)
		b, mark := ber.Begin([]byte("before"), ber.OctetString)
		b = ber.End(append(b, value...), mark)
		if !bytes.Equal(b[6:], want) || string(b[:6]) != "before" {
			t.Errorf("a value of %d octets was spoilt", n)
		}
	}
}

func TestConstructedIsReadFromTheFirstOctet(t *testing.T) {
	t.Parallel()
	for tag, want := range map[ber.Tag]bool{0x30: true, 0x04: false, 0x7F49: true, 0x5FC105: false} {
		if tag.IsConstructed() != want {
			t.Errorf("%X: got %v", uint32(tag), !want)
		}
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	b, mark := ber.Begin(nil, ber.Sequence)
	b = ber.AppendString(ber.AppendInt(b, ber.Integer, 5), ber.OctetString, "value")
	b = ber.End(b, mark)
	n := testing.AllocsPerRun(100, func() {
		r := ber.NewReader(b)
		seq, _ := r.Enter(ber.Sequence)
		_, _ = seq.Int(ber.Integer)
		_, _ = seq.Expect(ber.OctetString)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzReader(f *testing.F) {
	for _, seed := range []string{"", "3005020101", "300602010142", "0000", "3080", "30840000000502010142007f", "7f49820100", "5fc105010a"} {
		b, _ := hex.DecodeString(seed)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		walk(t, ber.NewReader(b), 0)
	})
}

// walk reads everything, writes it again and demands that both mean the same.
func walk(t *testing.T, r ber.Reader, depth int) {
	for !r.Empty() {
		peeked := r.Peek()
		copied := r
		tag, value, err := r.Next()
		if err != nil {
			return
		}
		if tag != peeked {
			t.Fatalf("peeked %X, read %X", uint32(peeked), uint32(tag))
		}
		if _, raw, err := copied.Raw(); err != nil || !bytes.HasSuffix(raw, value) {
			t.Fatalf("raw element differs: %v", err)
		}
		again := ber.NewReader(ber.Append(nil, tag, value))
		if tag2, value2, err := again.Next(); err != nil || tag2 != tag || !bytes.Equal(value, value2) {
			t.Fatalf("written again: %X %x, %v", uint32(tag2), value2, err)
		}
		if v, err := ber.ParseInt(value); err == nil {
			w := ber.NewReader(ber.AppendInt(nil, ber.Integer, v))
			if got, err := w.Int(ber.Integer); err != nil || got != v {
				t.Fatalf("integer %d became %d, %v", v, got, err)
			}
		}
		if tag.IsConstructed() && depth < 50 {
			walk(t, ber.NewReader(value), depth+1)
		}
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
