package certs

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// CommonNameMax is ub-common-name in characters (RFC 5280 appendix A.1).
const CommonNameMax = 64

// ErrUUID says that text is no user id of this workforce.
var ErrUUID = errors.New("not a 12-digit user id")

// UUID is a person's user id: 12 decimal digits, the first not 0, one for life
// across employers, printed on the card. It is not an RFC 9562 UUID, and its
// digits mean nothing.
type UUID string

// ParseUUID takes exactly 12 digits whose first is not 0.
func ParseUUID(text string) (UUID, error) {
	if len(text) != 12 || text[0] == '0' {
		return "", fmt.Errorf("%w: %q", ErrUUID, text)
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return "", fmt.Errorf("%w: %q", ErrUUID, text)
		}
	}
	return UUID(text), nil
}

// NewUUID draws a user id with equal chances for each of the 9·10¹¹; the
// caller still has to ask whether it is taken.
func NewUUID(random io.Reader) (UUID, error) {
	const span, floor = 900_000_000_000, 100_000_000_000
	var b [8]byte
	for {
		if _, err := io.ReadFull(random, b[:5]); err != nil {
			return "", fmt.Errorf("drawing a user id: %w", err)
		}
		// 40 bits: 1.0995·10¹² values, the ones past span are drawn again.
		n := uint64(b[0])<<32 | uint64(b[1])<<24 | uint64(b[2])<<16 | uint64(b[3])<<8 | uint64(b[4])
		if n < span {
			return UUID(fmt.Sprintf("%012d", n+floor)), nil
		}
	}
}

// Holder is a person as far as a certificate's subject is concerned; names are
// as on the identity documents, in full.
type Holder struct {
	UUID   UUID
	Given  string
	Family string
}

// AuthenticationCN is the common name of the certificate a holder signs in
// with: the bare user id.
func AuthenticationCN(h Holder) string { return string(h.UUID) }

// SignatureCN is the common name of the certificate a holder signs documents
// with: UUID_Given_Family, runs of white space as one hyphen, cut to 64
// characters (RFC 5280 ub-common-name counts characters, not octets). The full
// names belong in givenName and surname.
func SignatureCN(h Holder) string {
	cn := string(h.UUID) + "_" + hyphenate(h.Given) + "_" + hyphenate(h.Family)
	return cutRunes(cn, CommonNameMax)
}

func hyphenate(name string) string {
	return strings.Join(strings.Fields(strings.ToValidUTF8(name, "")), "-")
}

func cutRunes(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	n := 0
	for at := range s {
		if n == limit {
			return s[:at]
		}
		n++
	}
	return s
}
