package card

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
)

// Options of a simulated card. Zero values are the defaults a new PIV card has:
// PIN 123456, PUK 12345678 and the well-known management key.
type Options struct {
	Create        bool             // make the card if the file does not exist
	PIN, PUK      string           // of a card that is made
	ManagementKey []byte           // 24 octets (3DES) of a card that is made; used to write to any
	Serial        uint32           // of a card that is made; 0 = drawn at random
	Root          *AttestationRoot // signs the attestation key of a card that is made; nil = its own
}

// What a new card has.
const (
	DefaultPIN = "123456"
	DefaultPUK = "12345678"

	pinTries = 3 // NHS cards lock after three
	pukTries = 3
)

// OpenSimulated opens the card kept in a file of mode 0600, and keeps other
// processes off it until Close. Each change is on disk before the card answers.
func OpenSimulated(path string, o Options) (Card, error) {
	applet, err := OpenApplet(path, o)
	if err != nil {
		return nil, err
	}
	c, err := New(applet, o.ManagementKey)
	if err != nil {
		return nil, errors.Join(err, applet.Close())
	}
	return c, nil
}

// OpenApplet opens the card as the Transmitter behind OpenSimulated, for a
// reader that speaks APDUs itself.
func OpenApplet(path string, o Options) (*Applet, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("opening card %s: %w", path, err)
	}
	found, err := exists(path)
	if err != nil || !found && !o.Create {
		return nil, fmt.Errorf("opening card %s: %w", path, errors.Join(err, errNoCard(found)))
	}
	release, err := lock(path)
	if err != nil {
		return nil, fmt.Errorf("opening card %s: %w", path, err)
	}
	a := &Applet{path: path, release: release}
	if found {
		a.state, err = loadState(path)
	} else if a.state, err = newState(o); err == nil {
		err = a.state.save(path)
	}
	if err != nil {
		return nil, fmt.Errorf("opening card %s: %w", path, errors.Join(err, release()))
	}
	return a, nil
}

// ErrNoCard says that there is no file of that name.
var ErrNoCard = errors.New("there is no card")

func errNoCard(found bool) error {
	if found {
		return nil
	}
	return ErrNoCard
}

func newState(o Options) (*state, error) {
	pin, puk := o.PIN, o.PUK
	if pin == "" {
		pin = DefaultPIN
	}
	if puk == "" {
		puk = DefaultPUK
	}
	if !goodPIN(pin) || !goodPIN(puk) {
		return nil, ErrPINForm
	}
	s := &state{Format: stateFormat, Serial: o.Serial, Keys: map[string]slotKey{}, Objects: map[string][]byte{}}
	for s.Serial == 0 {
		var b [4]byte
		if _, err := rand.Read(b[:]); err != nil {
			return nil, fmt.Errorf("drawing a serial number: %w", err)
		}
		s.Serial = binary.BigEndian.Uint32(b[:]) >> 1 // a positive INTEGER of four octets
	}
	s.setReferences(pin, puk)
	s.Management = managementKey{id3DES, bytes.Clone(o.ManagementKey)}
	if len(o.ManagementKey) == 0 {
		s.Management.Key = DefaultManagementKey()
	}
	if _, err := managementCipher(id3DES, s.Management.Key); err != nil {
		return nil, err
	}
	if err := s.identify(); err != nil {
		return nil, err
	}
	return s, s.makeAttestationKey(o.Root)
}

// setReferences gives PIN and PUK, which have the right form, all their tries.
func (s *state) setReferences(pin, puk string) {
	padded := func(value string) []byte {
		return append([]byte(value), bytes.Repeat([]byte{0xFF}, pinLength-len(value))...)
	}
	s.PIN = reference{padded(pin), pinTries, pinTries}
	s.PUK = reference{padded(puk), pukTries, pukTries}
}

// identify writes the two objects by which card drivers know a card: CHUID and
// CCC (SP 800-73-4 part 1 §3.1.1, §3.1.2).
func (s *state) identify() error {
	var id [16 + 14]byte
	if _, err := rand.Read(id[:]); err != nil {
		return fmt.Errorf("drawing a card identifier: %w", err)
	}
	guid, ccc := id[:16], id[16:]
	chuid := []byte{0x30, 0x19, // FASC-N of a card outside the federal scheme
		0xD4, 0xE7, 0x39, 0xDA, 0x73, 0x9C, 0xED, 0x39, 0xCE, 0x73, 0x9D, 0x83, 0x68, 0x58, 0x21, 0x08, 0x42, 0x10, 0x84, 0x21, 0xC8, 0x42, 0x10, 0xC3, 0xEB,
		0x34, 0x10}
	chuid = append(chuid, guid...)
	chuid = append(chuid, "\x35\x0820491231\x3E\x00\xFE\x00"...)
	s.Objects["5fc102"] = chuid
	capability := append([]byte{0xF0, 0x15, 0xA0, 0x00, 0x00, 0x01, 0x16, 0xFF, 0x02}, ccc...)
	capability = append(capability, "\xF1\x01\x21\xF2\x01\x21\xF3\x00\xF4\x01\x00\xF5\x01\x10\xF6\x00\xF7\x00\xFA\x00\xFB\x00\xFC\x00\xFD\x00\xFE\x00"...)
	s.Objects["5fc107"] = capability
	return nil
}

// makeAttestationKey makes the key that attests all others, and has it signed
// by the root.
func (s *state) makeAttestationKey(root *AttestationRoot) (err error) {
	if root == nil {
		if root, err = NewAttestationRoot(); err != nil {
			return err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making the attestation key: %w", err)
	}
	if s.Attestation, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return fmt.Errorf("making the attestation key: %w", err)
	}
	der, err := root.sign(s.Serial, key.Public())
	if err != nil {
		return err
	}
	s.Objects["5fff01"] = certificateObject(der)
	return nil
}
