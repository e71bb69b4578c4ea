package tree

import (
	"bytes"
	"fmt"
	"unsafe"

	"go.etcd.io/bbolt"

	"cardinal/directory"
	"cardinal/internal/ber"
)

// Names is what turns the numbers in records back into names and values. It
// only ever grows, and a number is never given out twice, so Names serve
// every snapshot taken before it.
type Names struct {
	words []string // each one or more OCTET STRINGs, as they go on the wire
	names []name   // by attribute number
}

// Len is how many attribute numbers are in use.
func (c *Names) Len() int { return len(c.names) }

// At is the description of a number, and whether it is operational. Its Type
// is nil if the schema lost the type.
func (c *Names) At(code int) (d directory.Description, operational bool) {
	return c.names[code].description, c.names[code].operational
}

// name is one attribute description in use.
type name struct {
	text        string // canonical description
	description directory.Description
	header      []byte // the description as an OCTET STRING
	operational bool
}

// octets looks at a string as bytes that must not be written to.
func octets(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// maxWords bounds the dictionary, and with it memory: values beyond it stand
// in the records themselves.
const maxWords = 1 << 20

// maxWord is the longest value that becomes a word, in octets.
const maxWord = 256

// catalogWriter is the writing side of the catalog: it gives out numbers. One
// goroutine writes at a time; publish makes the state visible to readers.
type catalogWriter struct {
	schema *directory.Schema
	now    Names
	word   map[string]uint32
	code   map[string]uint16
}

func newCatalogWriter(schema *directory.Schema) *catalogWriter {
	return &catalogWriter{schema: schema, word: map[string]uint32{}, code: map[string]uint16{}}
}

// load reads the catalog the bucket holds, in place of what is known.
func (w *catalogWriter) load(b *bbolt.Bucket) error {
	*w = *newCatalogWriter(w.schema)
	if names := b.Bucket([]byte(bucketNames)); names != nil {
		if err := names.ForEach(func(_, v []byte) error { w.addName(string(v)); return nil }); err != nil {
			return err
		}
	}
	if words := b.Bucket([]byte(bucketWords)); words != nil {
		return words.ForEach(func(_, v []byte) error { w.addWord(string(v)); return nil })
	}
	return nil
}

func (w *catalogWriter) addName(text string) uint16 {
	code := uint16(len(w.now.names))
	d, ok := w.schema.Describe(text)
	w.now.names = append(w.now.names, name{
		text: text, description: d, header: ber.AppendString(nil, ber.OctetString, text),
		operational: ok && d.Type.Operational(),
	})
	w.code[text] = code
	return code
}

func (w *catalogWriter) addWord(text string) uint32 {
	id := uint32(len(w.now.words))
	w.now.words = append(w.now.words, text)
	w.word[text] = id
	return id
}

// codeOf gives the number of a canonical description, a new one if need be.
func (w *catalogWriter) codeOf(b *bbolt.Bucket, text string) (uint16, error) {
	if code, ok := w.code[text]; ok {
		return code, nil
	}
	if len(w.now.names) >= 1<<16-1 {
		return 0, fmt.Errorf("numbering attribute %s: all numbers are taken", text)
	}
	code := w.addName(text)
	return code, b.Bucket([]byte(bucketNames)).Put([]byte{byte(code >> 8), byte(code)}, []byte(text))
}

// wordOf gives the number of a word, a new one if need be; ok is false when
// the dictionary is full or the word too long.
func (w *catalogWriter) wordOf(b *bbolt.Bucket, encoded []byte) (id uint32, ok bool, err error) {
	if id, ok := w.word[string(encoded)]; ok {
		return id, true, nil
	}
	if len(w.now.words) >= maxWords || len(encoded) > maxWord {
		return 0, false, nil
	}
	id = w.addWord(string(encoded))
	return id, true, b.Bucket([]byte(bucketWords)).Put(appendID(nil, id), encoded)
}

// hasWord reports whether a value has a word, or will never have one.
func (w *catalogWriter) hasWord(value []byte) bool {
	var room [maxWord + 8]byte
	encoded := ber.Append(room[:0], ber.OctetString, value)
	_, ok := w.word[string(encoded)]
	return ok || len(w.now.words) >= maxWords || len(encoded) > maxWord
}

// agrees reports whether the bucket holds exactly what is known here. It does
// not after a batch that was rolled back.
func (w *catalogWriter) agrees(b *bbolt.Bucket) bool {
	names, words := b.Bucket([]byte(bucketNames)), b.Bucket([]byte(bucketWords))
	return agreesOn(names, len(w.now.names), 2) && agreesOn(words, len(w.now.words), 4)
}

func agreesOn(b *bbolt.Bucket, n, width int) bool {
	last, _ := b.Cursor().Last()
	if n == 0 {
		return last == nil
	}
	want := appendID(nil, uint32(n-1))
	return bytes.Equal(last, want[4-width:])
}
