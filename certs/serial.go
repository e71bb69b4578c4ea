package certs

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"
)

// SerialMax is the longest serial number in octets (RFC 5280 §4.1.2.2).
const SerialMax = 20

// ErrSerial says that bytes or text are no serial number: empty, zero, with
// leading zeros, or longer than SerialMax.
var ErrSerial = errors.New("not a serial number")

// ErrUnknownSerial says that no certificate with this issuer and serial was
// ever recorded. Nobody may call such a certificate good.
var ErrUnknownSerial = errors.New("no certificate with this serial was issued")

// Serial is a certificate's serial number: the big-endian magnitude without
// leading zeros, 1 to 20 octets, always positive. Two serials are the same
// number exactly when they are equal as strings. The zero value is not a
// serial.
type Serial string

// NewSerial draws a serial of 16 octets: 4 that tell when, which the
// certificate says anyway, then 96 random bits. It reads 12 bytes of random,
// which must be cryptographically secure (the CA/Browser baseline asks for 64
// bits). Certificates made together so lie together wherever serials are
// sorted: an order on a million cards in the order they were made goes through
// each table once, and not to a random page of it for each. Nothing may rely on
// that order. The time must lie between 1972 and 2106.
func NewSerial(at time.Time, random io.Reader) (Serial, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[4:]); err != nil {
		return "", fmt.Errorf("drawing a serial: %w", err)
	}
	tick := at.Unix() / serialTick
	if tick < 1<<24 || tick >= 1<<31 { // shorter, or negative in DER
		return "", fmt.Errorf("drawing a serial: %w: at %s", ErrSerial, at.UTC().Format(time.RFC3339))
	}
	binary.BigEndian.PutUint32(b[:], uint32(tick))
	return SerialFromBytes(b[:])
}

// serialTick is the seconds that certificates of one prefix were made in: with
// two the top bit stays clear until 2106.
const serialTick = 2

// SerialFromBytes takes a big-endian magnitude; leading zeros, as DER puts
// before a set top bit, are dropped.
func SerialFromBytes(b []byte) (Serial, error) {
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	s := Serial(b)
	if !s.Valid() {
		return "", fmt.Errorf("%w: %d octets", ErrSerial, len(b))
	}
	return s, nil
}

// SerialFromBig takes a serial as crypto/x509 holds it.
func SerialFromBig(n *big.Int) (Serial, error) {
	if n == nil || n.Sign() <= 0 {
		return "", fmt.Errorf("%w: not positive", ErrSerial)
	}
	return SerialFromBytes(n.Bytes())
}

// ParseSerial reads hex as people write it: either case, an odd number of
// digits, leading zeros, and colons or spaces between octets.
func ParseSerial(text string) (Serial, error) {
	clean := strings.Map(func(r rune) rune {
		if r == ':' || r == ' ' {
			return -1
		}
		return r
	}, text)
	clean = strings.TrimLeft(clean, "0")
	if len(clean)%2 == 1 {
		clean = "0" + clean
	}
	if len(clean) > 2*SerialMax {
		return "", fmt.Errorf("%w: %d hex digits", ErrSerial, len(clean))
	}
	b, err := hex.DecodeString(clean)
	if err != nil {
		return "", fmt.Errorf("%w: %q", ErrSerial, text)
	}
	return SerialFromBytes(b)
}

// Valid reports whether s holds a serial in its one spelling.
func (s Serial) Valid() bool {
	return len(s) > 0 && len(s) <= SerialMax && s[0] != 0
}

// Hex is the serial as it is shown and logged everywhere: lower case, two
// digits an octet.
func (s Serial) Hex() string { return hex.EncodeToString([]byte(s)) }

// String is Hex.
func (s Serial) String() string { return s.Hex() }

// Big is the number as crypto/x509 wants it.
func (s Serial) Big() *big.Int { return new(big.Int).SetBytes([]byte(s)) }

// Bytes is a fresh copy of the magnitude.
func (s Serial) Bytes() []byte { return []byte(s) }
