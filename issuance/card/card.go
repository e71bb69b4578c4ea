// Package card talks to PIV cards (NIST SP 800-73-4): PIN, keys made on the
// card, attestation, certificates.
//
// It owns the Card interface and what stands behind it: a client of PIV
// commands over any Transmitter, a simulated card that answers those commands
// from a 0600 file, in process or in a real reader daemon, and, with the build
// tag pcsc, real cards by PC/SC. It promises that a private key never leaves a
// card, that a certificate is read back after it is written, and that an
// attestation is believed only under roots the caller names.
package card

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
)

// Slot is a PIV key reference (SP 800-78-5 table 6).
type Slot byte

// The two slots of a pair. SlotSignature asks for the PIN before every
// signature (SP 800-73-4 part 1 §3.1.3).
const (
	SlotAuthentication Slot = 0x9A
	SlotSignature      Slot = 0x9C
)

// String is the slot as card tools write it: 9a, 9c.
func (s Slot) String() string { return fmt.Sprintf("%02x", byte(s)) }

// Algorithm is what kind of key a card makes.
type Algorithm string

// The algorithms of this interface. A card may not have them all.
const (
	P256    Algorithm = "P-256"
	P384    Algorithm = "P-384"
	RSA2048 Algorithm = "RSA-2048"
)

// ErrEmpty says that a slot holds no key or no certificate; ErrBlocked that the
// PIN or PUK has no tries left; ErrNotManaged that the management key is wrong.
var (
	ErrEmpty      = errors.New("card: slot is empty")
	ErrBlocked    = errors.New("card: no tries left")
	ErrNotManaged = errors.New("card: management key refused")
)

// PINError is a wrong PIN or PUK. Retries is how many tries are left; at 0 it
// also is ErrBlocked.
type PINError struct{ Retries int }

// Error names the tries left, never the PIN.
func (e *PINError) Error() string {
	return fmt.Sprintf("card: wrong PIN, %d tries left", e.Retries)
}

// Is makes a PINError without tries an ErrBlocked.
func (e *PINError) Is(target error) bool { return target == ErrBlocked && e.Retries == 0 }

// Card is one inserted card, used by one goroutine at a time. Every call is a
// conversation with it. Close gives it back; nothing else works afterwards.
type Card interface {
	// Serial is the maker's serial number in decimal digits.
	Serial() (string, error)
	// Retries is the number of PIN tries left.
	Retries() (int, error)
	// VerifyPIN costs a try if it is wrong: *PINError.
	VerifyPIN(pin string) error
	// ChangePIN gives the holder a new PIN of 6 to 8 digits for the old one.
	ChangePIN(old, new string) error
	// Unblock gives a new PIN for the PUK and resets the tries.
	Unblock(puk, new string) error
	// GenerateKey makes a key on the card, over whatever was in the slot.
	GenerateKey(slot Slot, algorithm Algorithm) (crypto.PublicKey, error)
	// Attest gives the slot's attestation and the certificate that signed it.
	Attest(slot Slot) ([]*x509.Certificate, error)
	// Signer signs with the slot's key, verifying the PIN as the slot demands.
	Signer(slot Slot, pin string) (crypto.Signer, error)
	// PutCertificate writes a DER certificate into the slot.
	PutCertificate(slot Slot, der []byte) error
	// Certificate reads the slot's DER certificate, ErrEmpty if there is none.
	Certificate(slot Slot) ([]byte, error)
	// Close ends the conversation.
	Close() error
}
