package dump_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"reflect"
	"testing"

	"cardinal/internal/ledger/dump"
)

func sample() ([]byte, [][]any) {
	var out bytes.Buffer
	d := dump.NewWriter(&out)
	d.Room("ledger", 1)
	d.Room("suite", 3)
	d.Table(&dump.Table{Name: "t", Columns: []dump.Column{{Name: "n", Kind: "BIGINT"}, {Name: "s", Kind: "TEXT"}, {Name: "b", Kind: "BYTEA"}}})
	rows := [][]any{
		{int64(math.MinInt64), "", []byte{}},
		{int64(math.MaxInt64), "täxt\x00", []byte{0, 255}},
		{nil, nil, nil},
		{int64(0), "x", bytes.Repeat([]byte("large"), 2_000)},
	}
	for _, row := range rows {
		if err := d.Row(row); err != nil {
			panic(err)
		}
	}
	d.Table(&dump.Table{Name: "empty", Columns: []dump.Column{{Name: "n", Kind: "BIGINT"}}})
	if err := d.Close(); err != nil {
		panic(err)
	}
	return out.Bytes(), rows
}

func readAll(b []byte) (tables int, rows [][]any, err error) {
	r, err := dump.NewReader(bytes.NewReader(b))
	for err == nil {
		var record dump.Record
		if record, err = r.Next(); err != nil {
			break
		}
		if record.Table != nil {
			tables++
		} else {
			rows = append(rows, record.Values)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return tables, rows, err
}

func TestDumpIsReadBack(t *testing.T) {
	t.Parallel()
	b, want := sample()
	r, err := dump.NewReader(bytes.NewReader(b))
	if err != nil || !reflect.DeepEqual(r.Rooms(), map[string]int{"ledger": 1, "suite": 3}) {
		t.Fatalf("rooms %v: %v", r.Rooms(), err)
	}
	tables, rows, err := readAll(b)
	if err != nil || tables != 2 || !reflect.DeepEqual(rows, want) {
		t.Errorf("%d tables, rows %.200v: %v", tables, rows, err)
	}
}

func TestDamagedDumpIsRefused(t *testing.T) {
	t.Parallel()
	whole, _ := sample()
	step := 1
	for n := 0; n < len(whole); n += step {
		if n > 200 && n < len(whole)-200 {
			step = 1_007
		} else {
			step = 1
		}
		if _, _, err := readAll(whole[:n]); !errors.Is(err, dump.ErrDamaged) {
			t.Errorf("cut after byte %d: %v", n, err)
		}
		flipped := bytes.Clone(whole)
		flipped[n] ^= 0x10
		if _, _, err := readAll(flipped); !errors.Is(err, dump.ErrDamaged) {
			t.Errorf("byte %d changed: %v", n, err)
		}
	}
	if _, _, err := readAll(append(bytes.Clone(whole), 'x')); !errors.Is(err, dump.ErrDamaged) {
		t.Errorf("something behind: %v", err)
	}
}

func TestWriterRefusesForeignValues(t *testing.T) {
	t.Parallel()
	d := dump.NewWriter(io.Discard)
	if err := d.Row([]any{3.14}); err == nil {
		t.Error("a float was written")
	}
}

// FuzzDump reads any records between the first line and the right checksum: errors, never a panic, never more values
// than bytes.
func FuzzDump(f *testing.F) {
	whole, _ := sample()
	line, end := len("cardinal ledger dump 1\n"), 2+sha256.Size
	f.Add(whole[line:400])
	f.Add(whole[line : len(whole)-end])
	f.Add([]byte{1, 'r'})
	f.Add([]byte{4, 'T', 0, 255, 1})
	f.Fuzz(func(t *testing.T, records []byte) {
		b := append(bytes.Clone(whole[:line]), records...)
		sum := sha256.Sum256(b)
		b = append(binary.AppendUvarint(b, 1+sha256.Size), 'E')
		tables, rows, err := readAll(append(b, sum[:]...))
		if err != nil && !errors.Is(err, dump.ErrDamaged) {
			t.Errorf("error %v is not ErrDamaged", err)
		}
		values := tables
		for _, row := range rows {
			values += len(row)
		}
		if values > len(records) {
			t.Errorf("%d values from %d bytes", values, len(records))
		}
	})
}
