package directory

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Limits of LDIF input, so that memory stays bounded.
const (
	maxLDIFValue = 16 << 20 // one unfolded line; the largest photo or CRL fits
)

// LDIFError says where LDIF input is wrong.
type LDIFError struct {
	Line   int   // 1-based, the physical line
	Offset int64 // of the line's first byte
	What   string
	Err    error // what it is in terms of the directory, if known
}

// Error returns "line N (byte M): what".
func (e *LDIFError) Error() string {
	return fmt.Sprintf("line %d (byte %d): %s", e.Line, e.Offset, e.What)
}

// Unwrap returns the underlying error.
func (e *LDIFError) Unwrap() error { return e.Err }

// ldifLine is one logical line: unfolded, comment-free, its value decoded.
type ldifLine struct {
	name   string // "" for a blank line
	value  []byte
	url    bool // "name:< url"
	bare   bool // a line without a colon: only "-" is
	line   int
	offset int64
}

func (l *ldifLine) blank() bool { return l.name == "" && !l.bare }

// ldifLines reads logical lines (RFC 2849). Lines may end in LF or CRLF. What
// it gives out is a part of its buffer where that can be; a buffer is never
// written to again.
type ldifLines struct {
	r      io.Reader // nil: all there is stands in rest
	rest   []byte    // read, not given out
	line   int       // physical lines read
	offset int64
	ended  bool // the last physical line had its newline
	err    error
	names  map[string]*ldifName // attribute descriptions seen, so that each is allocated once
	last   *ldifName            // the one before
}

// ldifName is an attribute description, and the one that came behind it last:
// records resemble each other, so most names are found without being looked up.
type ldifName struct {
	text string
	next *ldifName
}

const (
	maxNames   = 4096 // bounds the memory of names
	ldifBuffer = 64 << 10
)

func newLDIFLines(r io.Reader) *ldifLines { return &ldifLines{r: r, ended: true} }

// fill reads more behind what is left, into a new buffer.
func (s *ldifLines) fill() error {
	if s.r == nil {
		return io.EOF
	}
	next := make([]byte, max(ldifBuffer, 2*len(s.rest)))
	have := copy(next, s.rest)
	n, err := io.ReadAtLeast(s.r, next[have:], 1)
	s.rest = next[:have+n]
	if n > 0 {
		return nil
	}
	return err
}

// physical reads one physical line without its end. It is not to be appended to.
func (s *ldifLines) physical() ([]byte, error) {
	searched, end := 0, -1
	for {
		if end = bytes.IndexByte(s.rest[searched:], '\n'); end >= 0 {
			end += searched
			break
		}
		if searched = len(s.rest); searched > maxLDIFValue {
			return nil, fmt.Errorf("a line longer than %d bytes", maxLDIFValue)
		}
		if err := s.fill(); errors.Is(err, io.EOF) && len(s.rest) > 0 {
			break
		} else if err != nil {
			return nil, err
		}
	}
	s.line++
	if s.ended = end >= 0; !s.ended {
		line := s.rest
		s.offset, s.rest = s.offset+int64(len(line)), nil
		return line, nil
	}
	if end > maxLDIFValue {
		return nil, fmt.Errorf("a line longer than %d bytes", maxLDIFValue)
	}
	line := s.rest[:end:end]
	s.offset, s.rest = s.offset+int64(end)+1, s.rest[end+1:]
	if end > 0 && line[end-1] == '\r' {
		line = line[: end-1 : end-1]
	}
	return line, nil
}

// continues reports whether the next physical line goes on with this one.
func (s *ldifLines) continues() (bool, error) {
	if len(s.rest) == 0 {
		if err := s.fill(); errors.Is(err, io.EOF) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	return s.rest[0] == ' ', nil
}

func (s *ldifLines) fail(at ldifLine, what string) error {
	return &LDIFError{Line: at.line, Offset: at.offset, What: what}
}

// next returns the next logical line; io.EOF at the end.
func (s *ldifLines) next() (ldifLine, error) {
	if s.err != nil {
		return ldifLine{line: s.line}, s.err
	}
	if l, ok := s.plain(); ok {
		return l, nil
	}
	l, text, err := s.logical()
	if err == nil && len(text) > 0 {
		l, err = s.parse(l, text)
	}
	if err != nil {
		s.err = err
	}
	return l, err
}

// plain gives the next line if it is one of the ordinary kind, all in memory:
// empty, or "name: value" that goes on in no other line. False leaves it to
// those who know every kind; nothing was read then.
func (s *ldifLines) plain() (ldifLine, bool) {
	end := bytes.IndexByte(s.rest, '\n')
	if end < 0 || end > maxLDIFValue || end+1 < len(s.rest) && s.rest[end+1] == ' ' || end+1 == len(s.rest) && s.r != nil {
		return ldifLine{}, false
	}
	l := ldifLine{line: s.line + 1, offset: s.offset}
	if end > 0 && !s.split(&l, s.rest[:end:end]) {
		return ldifLine{}, false
	}
	s.line++
	s.ended = true
	s.offset, s.rest = s.offset+int64(end)+1, s.rest[end+1:]
	return l, true
}

// split parses "name: value"; false for all else, base64 and comments too.
func (s *ldifLines) split(l *ldifLine, text []byte) bool {
	if text[0] == ' ' || text[len(text)-1] == '\r' {
		return false
	}
	var name *ldifName
	if s.last != nil && s.last.next != nil {
		if n := s.last.next; len(n.text) < len(text) && text[len(n.text)] == ':' && string(text[:len(n.text)]) == n.text {
			name = n
		}
	}
	if name == nil {
		colon := nameEnd(text)
		if colon <= 0 {
			return false
		}
		name = s.named(text[:colon])
		if s.last != nil {
			s.last.next = name
		}
	}
	v := text[len(name.text)+1:]
	if len(v) > 0 && (v[0] == ':' || v[0] == '<') {
		return false
	}
	for len(v) > 0 && v[0] == ' ' {
		v = v[1:]
	}
	if !utf8.Valid(v) {
		return false
	}
	s.last = name
	l.name, l.value = name.text, v
	return true
}

// nameEnd is where the colon behind an attribute description stands; -1 if
// there is none.
func nameEnd(text []byte) int {
	for i, c := range text {
		if c == ':' {
			return i
		}
		if !isTypeByte(c) && c != ';' {
			break
		}
	}
	return -1
}

// logical unfolds one line and skips comments.
func (s *ldifLines) logical() (ldifLine, []byte, error) {
	for {
		l := ldifLine{line: s.line + 1, offset: s.offset}
		text, err := s.physical()
		if err != nil {
			return l, nil, s.ioError(l, err)
		}
		if len(text) == 0 {
			return l, nil, nil
		}
		if text[0] == ' ' {
			return l, nil, s.fail(l, "a continuation without a line before it")
		}
		text, err = s.unfold(text)
		if err != nil {
			return l, nil, s.ioError(l, err)
		}
		if text[0] != '#' {
			return l, text, nil
		}
	}
}

func (s *ldifLines) ioError(l ldifLine, err error) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return &LDIFError{Line: l.line, Offset: l.offset, What: err.Error(), Err: err}
}

func (s *ldifLines) unfold(text []byte) ([]byte, error) {
	for {
		more, err := s.continues()
		if err != nil || !more {
			return text, err
		}
		part, err := s.physical()
		if err != nil {
			return text, err
		}
		if text = append(text, part[1:]...); len(text) > maxLDIFValue { // text is cut to its length: it is copied
			return text, fmt.Errorf("a value longer than %d bytes", maxLDIFValue)
		}
	}
}

func (s *ldifLines) intern(name []byte) string { return s.named(name).text }

// named gives what is known of a name.
func (s *ldifLines) named(name []byte) *ldifName {
	n, ok := s.names[string(name)]
	if !ok {
		if s.names == nil || len(s.names) >= maxNames {
			s.names, s.last = map[string]*ldifName{}, nil
		}
		n = &ldifName{text: string(name)}
		s.names[n.text] = n
	}
	return n
}

// parse cuts "name: value", "name:: base64" and "name:< url".
func (s *ldifLines) parse(l ldifLine, text []byte) (ldifLine, error) {
	if string(text) == "-" {
		l.bare = true
		return l, nil
	}
	colon := nameEnd(text)
	if colon <= 0 {
		return l, s.fail(l, `no "name:" at the start of the line`)
	}
	l.name = s.intern(text[:colon])
	v := text[colon+1:]
	encoded := false
	if len(v) > 0 && v[0] == ':' {
		encoded, v = true, v[1:]
	} else if len(v) > 0 && v[0] == '<' {
		l.url, v = true, v[1:]
	}
	for len(v) > 0 && v[0] == ' ' {
		v = v[1:]
	}
	if !encoded {
		if !utf8.Valid(v) {
			return l, s.fail(l, l.name+": the value is not UTF-8; encode it with ::")
		}
		l.value = v
		return l, nil
	}
	dst := make([]byte, base64.StdEncoding.DecodedLen(len(v)))
	n, err := base64.StdEncoding.Decode(dst, v)
	if err != nil {
		return l, s.fail(l, l.name+": bad base64")
	}
	l.value = dst[:n]
	return l, nil
}
