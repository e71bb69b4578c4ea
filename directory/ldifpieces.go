package directory

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// LDIFPieces cuts LDIF input where records end, so that several goroutines can
// read it: each piece is read by a reader of its own, which knows its lines.
type LDIFPieces struct {
	r      io.Reader
	rest   []byte
	line   int
	offset int64
	begun  bool
	done   bool
}

// pieceSize is about how much one piece holds.
const pieceSize = 256 << 10

// NewLDIFPieces reads from r.
func NewLDIFPieces(r io.Reader) *LDIFPieces { return &LDIFPieces{r: r} }

// Next gives a reader of the next piece; io.EOF after the last.
func (p *LDIFPieces) Next() (*LDIFReader, error) {
	for size := pieceSize; ; size *= 2 {
		if err := p.fill(size); err != nil {
			return nil, &LDIFError{Line: p.line + bytes.Count(p.rest, []byte{'\n'}) + 1, Offset: p.offset + int64(len(p.rest)), What: err.Error(), Err: err}
		}
		if len(p.rest) == 0 {
			return nil, io.EOF
		}
		end := lastRecordEnd(p.rest)
		if p.done {
			end = len(p.rest)
		}
		if end > 0 {
			return p.cut(end), nil
		}
		if size > 2*maxRecordBytes {
			return nil, &LDIFError{Line: p.line + 1, Offset: p.offset, What: fmt.Sprintf("a record of more than %d bytes", maxRecordBytes)}
		}
	}
}

// fill reads until so many octets are there or the input ends.
func (p *LDIFPieces) fill(size int) error {
	if p.done || len(p.rest) >= size {
		return nil
	}
	next := make([]byte, size)
	have := copy(next, p.rest)
	n, err := io.ReadFull(p.r, next[have:])
	p.rest = next[:have+n]
	if p.done = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF); p.done {
		return nil
	}
	return err
}

// lastRecordEnd is the place behind the last empty line; 0 if there is none.
func lastRecordEnd(b []byte) int {
	end := 0
	for _, empty := range []string{"\n\n", "\n\r\n"} {
		if i := bytes.LastIndex(b[end:], []byte(empty)); i >= 0 {
			end += i + len(empty)
		}
	}
	return end
}

func (p *LDIFPieces) cut(end int) *LDIFReader {
	piece := p.rest[:end:end]
	r := &LDIFReader{lines: &ldifLines{rest: piece, line: p.line, offset: p.offset, ended: true}, started: p.begun, names: ldifNames{}}
	p.begun = p.begun || bytes.ContainsAny(piece, ":")
	p.line += bytes.Count(piece, []byte{'\n'})
	p.offset += int64(end)
	p.rest = p.rest[end:]
	return r
}

// ldifNames parses names, the part above the first RDN once as long as it is
// remembered.
type ldifNames map[string]DN

// maxLDIFParents bounds what is remembered.
const maxLDIFParents = 1024

func (n ldifNames) parse(text []byte, intern func([]byte) string) (DN, error) {
	comma := bytes.IndexByte(text, ',')
	if comma < 0 || comma+1 >= len(text) || len(text) > maxDNLength {
		return ParseDN(string(text))
	}
	own, ok := plainRDN(text[:comma], intern)
	if !ok {
		return ParseDN(string(text))
	}
	above, ok := n[string(text[comma+1:])]
	if !ok {
		var err error
		if above, err = n.parse(text[comma+1:], intern); err != nil || len(above) == 0 {
			return ParseDN(string(text)) // which says where in all of it
		}
		if len(n) >= maxLDIFParents {
			clear(n)
		}
		n[string(text[comma+1:])] = above
	}
	if len(above)+1 > maxRDNs {
		return ParseDN(string(text))
	}
	dn := make(DN, 1, len(above)+1)
	dn[0] = RDN{own}
	return append(dn, above...), nil
}

// plainRDN parses type=value without anything that needs care.
func plainRDN(text []byte, intern func([]byte) string) (AVA, bool) {
	equals := bytes.IndexByte(text, '=')
	if equals <= 0 || equals == len(text)-1 {
		return AVA{}, false
	}
	for i, c := range text[equals+1:] {
		inner := i > 0 && i < len(text)-equals-2
		if !isLetter(c) && (c < '0' || c > '9') && c != '-' && c != '.' && (c != ' ' || !inner) {
			return AVA{}, false
		}
	}
	typ := intern(text[:equals])
	if !validType(typ) {
		return AVA{}, false
	}
	return AVA{Type: typ, Value: text[equals+1:]}, true
}
