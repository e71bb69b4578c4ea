package directory

import (
	"bufio"
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

// ldifLines reads logical lines (RFC 2849). Lines may end in LF or CRLF.
type ldifLines struct {
	r      *bufio.Reader
	line   int // physical lines read
	offset int64
	ended  bool // the last physical line had its newline
	err    error
	names  map[string]string // attribute descriptions seen, so that each is allocated once
}

// maxNames bounds the memory of names.
const maxNames = 4096

func newLDIFLines(r io.Reader) *ldifLines {
	return &ldifLines{r: bufio.NewReaderSize(r, 64<<10), ended: true}
}

// physical reads one physical line without its end.
func (s *ldifLines) physical(into []byte) ([]byte, error) {
	start := len(into)
	for {
		part, err := s.r.ReadSlice('\n')
		s.offset += int64(len(part))
		if len(into)-start+len(part) > maxLDIFValue {
			return into, fmt.Errorf("a line longer than %d bytes", maxLDIFValue)
		}
		into = append(into, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && (!errors.Is(err, io.EOF) || len(into) == start) {
			return into, err
		}
		break
	}
	s.line++
	n := len(into)
	s.ended = n > start && into[n-1] == '\n'
	if s.ended {
		n--
		if n > start && into[n-1] == '\r' {
			n--
		}
	}
	return into[:n], nil
}

func (s *ldifLines) fail(at ldifLine, what string) error {
	return &LDIFError{Line: at.line, Offset: at.offset, What: what}
}

// next returns the next logical line; io.EOF at the end.
func (s *ldifLines) next() (ldifLine, error) {
	if s.err != nil {
		return ldifLine{line: s.line}, s.err
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

// logical unfolds one line and skips comments.
func (s *ldifLines) logical() (ldifLine, []byte, error) {
	for {
		l := ldifLine{line: s.line + 1, offset: s.offset}
		text, err := s.physical(nil)
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
		c, err := s.r.Peek(1)
		if errors.Is(err, io.EOF) {
			return text, nil
		}
		if err != nil {
			return text, err
		}
		if c[0] != ' ' {
			return text, nil
		}
		keep := len(text)
		if text, err = s.physical(text); err != nil {
			return text, err
		}
		copy(text[keep:], text[keep+1:])
		if text = text[:len(text)-1]; len(text) > maxLDIFValue {
			return text, fmt.Errorf("a value longer than %d bytes", maxLDIFValue)
		}
	}
}

func (s *ldifLines) intern(name []byte) string {
	if n, ok := s.names[string(name)]; ok {
		return n
	}
	if s.names == nil || len(s.names) >= maxNames {
		s.names = map[string]string{}
	}
	n := string(name)
	s.names[n] = n
	return n
}

// parse cuts "name: value", "name:: base64" and "name:< url".
func (s *ldifLines) parse(l ldifLine, text []byte) (ldifLine, error) {
	if string(text) == "-" {
		l.bare = true
		return l, nil
	}
	colon := -1
	for i, c := range text {
		if c == ':' {
			colon = i
			break
		}
		if !isTypeByte(c) && c != ';' {
			break
		}
	}
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
