package card

import (
	"errors"
)

// Options of a simulated card. Zero values are the defaults a new PIV card has:
// PIN 123456, PUK 12345678 and the well-known management key.
type Options struct {
	Create        bool             // make the card if the file does not exist
	PIN, PUK      string           // of a card that is made
	ManagementKey []byte           // 24 bytes, of a card that is made; used to write to any
	Serial        uint32           // of a card that is made; 0 = drawn at random
	Root          *AttestationRoot // signs the attestation key of a card that is made; nil = a root of its own
}

// AttestationRoot signs the attestation keys of simulated cards. It proves
// nothing about hardware: trust it only where simulated cards are meant.
type AttestationRoot struct{}

// OpenSimulated opens the card kept in a file of mode 0600.
func OpenSimulated(path string, o Options) (Card, error) {
	return nil, errors.New("card: the simulated card is not built yet")
}
