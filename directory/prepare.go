package directory

import (
	"bytes"
	"errors"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

var errNotPrepared = errors.New("a character that string preparation prohibits (RFC 4518 §2.4)")

// prepareString brings a Directory String to its compared form (RFC 4518):
// map, normalise to NFKC, prohibit, and handle spaces: none at the ends, one
// between words; a value of spaces alone is one space. The RFC writes two
// spaces between words and one at each end, which serves substrings only;
// matchSubstrings restores that where it matters. Characters assigned since
// Unicode 3.2 are let through, a deviation from §2.4, because people have
// names written with them.
//
// The result may be v itself: when v is ASCII and already in its form nothing
// is copied.
func prepareString(v []byte, fold bool) ([]byte, error) {
	ready := true
	for i, c := range v {
		if c >= 0x80 || c < 0x20 || c == 0x7f {
			return prepareUnicode(v, fold)
		}
		if fold && c >= 'A' && c <= 'Z' || c == ' ' && (i == 0 || i == len(v)-1 || v[i-1] == ' ') {
			ready = false
		}
	}
	if ready {
		return v, nil
	}
	return squeeze(v, fold), nil
}

// squeeze folds ASCII letters and removes insignificant spaces, in one copy.
func squeeze(v []byte, fold bool) []byte {
	out := make([]byte, 0, len(v))
	for i, c := range v {
		switch {
		case c == ' ' && (len(out) == 0 || i > 0 && v[i-1] == ' '):
		case fold && c >= 'A' && c <= 'Z':
			out = append(out, c+'a'-'A')
		default:
			out = append(out, c)
		}
	}
	if n := len(out); n > 0 && out[n-1] == ' ' {
		out = out[:n-1]
	}
	if len(out) == 0 && len(v) > 0 {
		return append(out, ' ')
	}
	return out
}

func prepareUnicode(v []byte, fold bool) ([]byte, error) {
	if !utf8.Valid(v) {
		return nil, errors.New("not UTF-8")
	}
	out := make([]byte, 0, len(v)+8)
	for _, r := range string(v) {
		switch m := mapRune(r); m {
		case dropped:
		default:
			out = utf8.AppendRune(out, m)
		}
	}
	if fold {
		// Folding can undo normalisation and the other way round, so both twice.
		folder := cases.Fold()
		out = norm.NFKC.Bytes(folder.Bytes(out))
		out = norm.NFKC.Bytes(folder.Bytes(out))
	} else {
		out = norm.NFKC.Bytes(out)
	}
	for _, r := range string(out) {
		if prohibited(r) {
			return nil, errNotPrepared
		}
	}
	return spacesOnly(squeeze(out, false), v), nil
}

// spacesOnly keeps a value that mapped to nothing distinguishable from none.
func spacesOnly(out, v []byte) []byte {
	if len(out) == 0 && len(v) > 0 {
		return []byte{' '}
	}
	return out
}

const dropped rune = -1

// mapRune is RFC 4518 §2.2 without case folding.
func mapRune(r rune) rune {
	switch {
	case r >= 0x09 && r <= 0x0d, r == 0x85: // tab, line feeds, next line
		return ' '
	case r < 0x20, r >= 0x7f && r <= 0x9f: // other controls
		return dropped
	case r == 0xad, r == 0x1806, r == 0x034f, r >= 0x180b && r <= 0x180d,
		r >= 0xfe00 && r <= 0xfe0f, r == 0xfffc: // soft hyphens, joiners, selectors
		return dropped
	case r == 0x06dd, r == 0x070f, r == 0x180e, r >= 0x200c && r <= 0x200f,
		r >= 0x202a && r <= 0x202e, r >= 0x2060 && r <= 0x2063, r >= 0x206a && r <= 0x206f,
		r == 0xfeff, r >= 0xfff9 && r <= 0xfffb, r >= 0x1d173 && r <= 0x1d17a,
		r == 0xe0001, r >= 0xe0020 && r <= 0xe007f, r == 0x200b: // format characters, zero width space
		return dropped
	case r == 0xa0, r == 0x1680, r >= 0x2000 && r <= 0x200a, r == 0x2028, r == 0x2029,
		r == 0x202f, r == 0x205f, r == 0x3000: // separators
		return ' '
	}
	return r
}

// prohibited is RFC 4518 §2.4 without its list of unassigned code points.
func prohibited(r rune) bool {
	switch {
	case r == utf8.RuneError:
		return true
	case unicode.Is(unicode.Co, r):
		return true
	case r >= 0xfdd0 && r <= 0xfdef, r&0xfffe == 0xfffe:
		return true
	case r == 0x0340, r == 0x0341: // change display properties
		return true
	}
	return false
}

// withoutBytes removes ASCII characters; v itself when it has none of them.
func withoutBytes(v []byte, chars string) []byte {
	if !bytes.ContainsAny(v, chars) {
		return v
	}
	out := make([]byte, 0, len(v))
	for _, c := range v {
		if bytes.IndexByte([]byte(chars), c) < 0 {
			out = append(out, c)
		}
	}
	return out
}
