package journal_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"cardinal/internal/journal"
)

func FuzzParseChange(f *testing.F) {
	c := sample()
	f.Add(journal.AppendChange(nil, &c))
	c.Erase()
	f.Add(journal.AppendChange(nil, &c))
	f.Add(append(journal.AppendChange(nil, &c), "rest"...))
	f.Add([]byte{3})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, rest, err := journal.ParseChange(b)
		if err != nil {
			if !errors.Is(err, journal.ErrMalformed) {
				t.Errorf("error %v is not ErrMalformed", err)
			}
			return
		}
		if len(c.Body) > journal.MaxBody {
			t.Errorf("body of %d bytes", len(c.Body))
		}
		if again := append(journal.AppendChange(nil, &c), rest...); !bytes.Equal(again, b) {
			t.Errorf("% x\nwas read and written as\n% x", b, again)
		}
	})
}

func FuzzParseCheckpoint(f *testing.F) {
	signed := journal.SignedCheckpoint{Checkpoint: journal.Checkpoint{Epoch: 1, Position: 300, Time: time.UnixMicro(1).UTC(), Scope: "ledger"}, Signature: []byte("x")}
	f.Add(signed.Append(nil))
	f.Add((&journal.SignedCheckpoint{}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := journal.ParseCheckpoint(b)
		if err == nil && !bytes.Equal(s.Append(nil), b) {
			t.Errorf("% x has two encodings", b)
		}
	})
}

func FuzzParseEpochBegan(f *testing.F) {
	f.Add((&journal.EpochBegan{Epoch: 2, Reason: "restore", Previous: 1, PreviousTime: time.UnixMicro(77)}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := journal.ParseEpochBegan(b)
		if err == nil && !bytes.Equal(x.Append(nil), b) {
			t.Errorf("% x has two encodings", b)
		}
	})
}

// FuzzDecoder reads values in an order the input itself chooses; what was read must be written as the same bytes.
func FuzzDecoder(f *testing.F) {
	e := journal.NewEncoder(nil)
	e.AppendUint(1 << 40)
	e.AppendBytes([]byte("bytes"))
	e.AppendString("string")
	e.AppendTime(time.UnixMicro(1_700_000_000_000_000))
	e.AppendTime(time.Time{})
	e.AppendBool(true)
	e.AppendHash(journal.Hash{1})
	e.AppendFixed([]byte("four"))
	f.Add([]byte{0, 1, 2, 3, 3, 4, 5, 6}, e.Bytes())
	f.Add([]byte{7}, []byte{0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, plan, b []byte) {
		d, e := journal.NewDecoder(b), journal.NewEncoder(nil)
		for _, what := range plan {
			switch what % 8 {
			case 0:
				e.AppendUint(d.Uint())
			case 1:
				e.AppendBytes(d.Bytes())
			case 2:
				e.AppendString(d.String())
			case 3:
				e.AppendTime(d.Time())
			case 4:
				e.AppendBool(d.Bool())
			case 5:
				e.AppendHash(d.Hash())
			case 6:
				e.AppendFixed(d.Fixed(4))
			case 7:
				n := d.Count(3)
				if n > len(d.Rest())/3 {
					t.Errorf("count %d with %d bytes left", n, len(d.Rest()))
				}
				e.AppendUint(uint64(n))
			}
			if d.Err() != nil {
				if !errors.Is(d.Err(), journal.ErrMalformed) || d.Rest() != nil || d.Uint() != 0 || d.End() == nil {
					t.Errorf("after a fault: %v", d.Err())
				}
				return
			}
		}
		if read := b[:len(b)-len(d.Rest())]; !bytes.Equal(e.Bytes(), read) {
			t.Errorf("% x was read and written as % x", read, e.Bytes())
		}
	})
}
