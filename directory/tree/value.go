package tree

import (
	"encoding/binary"
	"strconv"
	"time"

	"cardinal/internal/ber"
)

// A value in a record is a number x<<3|form as a base-128 varint, then for
// formRaw x octets. Every other form is the value itself in fewer octets, and
// is chosen only when it gives back exactly the octets it stands for.
const (
	formRaw    = 0 // x octets follow
	formWord   = 1 // word x of the dictionary: one value, or all of an attribute's
	formNumber = 2 // the decimal digits of x
	formTime   = 3 // x seconds since 1970 as YYYYMMDDhhmmssZ (RFC 4517 §3.3.13)
	formBits   = 3 // see also formOutlined
)

// appendPlainValue appends a value in the smallest form that needs no
// dictionary.
func appendPlainValue(b, value []byte) []byte {
	if x, ok := parseNumber(value); ok {
		return binary.AppendUvarint(b, x<<formBits|formNumber)
	}
	if len(value) == len("20060102150405Z") {
		if x, ok := parseSeconds(value); ok {
			return binary.AppendUvarint(b, x<<formBits|formTime)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(value))<<formBits|formRaw)
	return append(b, value...)
}

// parseNumber accepts decimal digits without a leading zero, few enough that
// form and number fit into 64 bits and many enough to be worth it.
func parseNumber(v []byte) (uint64, bool) {
	if len(v) < 2 || len(v) > 18 || v[0] == '0' {
		return 0, false
	}
	var x uint64
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, false
		}
		x = x*10 + uint64(c-'0')
	}
	return x, true
}

func parseSeconds(v []byte) (uint64, bool) {
	t, err := time.Parse("20060102150405Z", string(v))
	if err != nil || t.Unix() < 0 {
		return 0, false
	}
	return uint64(t.Unix()), string(appendSeconds(nil, uint64(t.Unix()))) == string(v)
}

func appendSeconds(b []byte, x uint64) []byte {
	return append(appendClock(b, time.Unix(int64(x), 0).UTC()), 'Z')
}

func appendClock(b []byte, t time.Time) []byte {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = appendPair(b, year/100)
	for _, n := range [...]int{year % 100, int(month), day, hour, minute, second} {
		b = appendPair(b, n)
	}
	return b
}

func appendPair(b []byte, n int) []byte { return append(b, '0'+byte(n/10%10), '0'+byte(n%10)) }

// values reads the values of one attribute of a record.
type values struct {
	rest  []byte
	word  ber.Reader // what is left of a word with several values
	words []string
}

// next returns the next value. It is a slice of the record, of a word, or of
// scratch, and lives until the next call.
func (v *values) next(scratch []byte) ([]byte, bool) {
	if !v.word.Empty() {
		value, err := v.word.Expect(ber.OctetString)
		return value, err == nil
	}
	head, n := binary.Uvarint(v.rest)
	if n <= 0 {
		return nil, false
	}
	v.rest = v.rest[n:]
	x := head >> formBits
	switch head & (1<<formBits - 1) {
	case formRaw:
		if x > uint64(len(v.rest)) {
			v.rest = nil
			return nil, false
		}
		value := v.rest[:x:x]
		v.rest = v.rest[x:]
		return value, true
	case formWord:
		if x >= uint64(len(v.words)) {
			return nil, false
		}
		v.word = ber.NewReader(octets(v.words[x]))
		return v.next(scratch)
	case formNumber:
		return strconv.AppendUint(scratch[:0], x, 10), true
	case formTime:
		return appendSeconds(scratch[:0], x), true
	}
	return nil, false
}
