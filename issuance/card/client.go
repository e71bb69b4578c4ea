package card

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"

	"cardinal/internal/ber"
)

// Data objects (SP 800-73-4 part 1 table 3).
const (
	objectAuthentication = 0x5FC105
	objectSignature      = 0x5FC10A
	objectAttestation    = 0x5FFF01
)

const (
	pinLength    = 8 // octets on the wire, padded with FF
	pinReference = 0x80
	pukReference = 0x81
)

// client is a Card behind a Transmitter.
type client struct {
	card       Transmitter
	management []byte
}

// New selects the PIV application of the card behind t. management is its
// management key, nil for the well-known one; it is used when keys are made and
// certificates written. Close closes t if t is an io.Closer.
func New(t Transmitter, management []byte) (Card, error) {
	if len(management) == 0 {
		management = DefaultManagementKey()
	}
	c := &client{card: t, management: management}
	if _, err := c.do(command{ins: insSelect, p1: 0x04, data: applicationPIV()[:5]}); err != nil {
		return nil, fmt.Errorf("selecting the PIV application: %w", err)
	}
	return c, nil
}

// applicationPIV is the PIV application's identifier: RID, PIX, version 1.0
// (SP 800-73-4 part 1 §2.2).
func applicationPIV() []byte {
	return []byte{0xA0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00, 0x01, 0x00}
}

// DefaultManagementKey is what every new PIV card has, and none should keep.
func DefaultManagementKey() []byte {
	return []byte{1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8}
}

func (c *client) do(cmd command) ([]byte, error) {
	answer, s, err := exchange(c.card, cmd)
	if err != nil {
		return nil, err
	}
	return answer, s.err()
}

func (c *client) Close() error {
	if closer, ok := c.card.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

func (c *client) Serial() (string, error) {
	answer, err := c.do(command{ins: insSerial})
	if err != nil {
		return "", fmt.Errorf("reading the serial number: %w", err)
	}
	if len(answer) != 4 {
		return "", fmt.Errorf("reading the serial number: %d octets", len(answer))
	}
	return strconv.FormatUint(uint64(binary.BigEndian.Uint32(answer)), 10), nil
}

// Retries asks the PIN's metadata, since an empty VERIFY tells the tries only
// while the PIN is not verified.
func (c *client) Retries() (int, error) {
	answer, err := c.do(command{ins: insMetadata, p2: pinReference})
	if err != nil {
		return 0, fmt.Errorf("reading the PIN's tries: %w", err)
	}
	tries, err := find(answer, 0x06)
	if err != nil || len(tries) != 2 {
		return 0, fmt.Errorf("reading the PIN's tries: %w", errAnswer)
	}
	return int(tries[1]), nil
}

func (c *client) VerifyPIN(pin string) error {
	data, err := padPIN(pin)
	if err != nil {
		return err
	}
	_, err = c.do(command{ins: insVerify, p2: pinReference, data: data})
	return err
}

func (c *client) ChangePIN(old, new string) error {
	return c.replace(insChange, old, new)
}

func (c *client) Unblock(puk, new string) error {
	return c.replace(insResetRetry, puk, new)
}

func (c *client) replace(ins byte, known, new string) error {
	a, err := padPIN(known)
	if err != nil {
		return err
	}
	if !goodPIN(new) {
		return ErrPINForm
	}
	b, err := padPIN(new)
	if err != nil {
		return err
	}
	_, err = c.do(command{ins: ins, p2: pinReference, data: append(a, b...)})
	return err
}

// ErrPINForm says that a new PIN is not 6 to 8 digits (SP 800-73-4 part 2 §2.4.3).
var ErrPINForm = errors.New("card: a PIN is 6 to 8 digits")

func goodPIN(pin string) bool {
	if len(pin) < 6 || len(pin) > pinLength {
		return false
	}
	for _, c := range []byte(pin) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func padPIN(pin string) ([]byte, error) {
	if len(pin) == 0 || len(pin) > pinLength {
		return nil, ErrPINForm
	}
	padded := []byte(pin)
	for len(padded) < pinLength {
		padded = append(padded, 0xFF)
	}
	return padded, nil
}

func (c *client) GenerateKey(slot Slot, algorithm Algorithm) (crypto.PublicKey, error) {
	id, err := algorithmID(algorithm)
	if err != nil {
		return nil, err
	}
	if err := c.manage(); err != nil {
		return nil, err
	}
	policy := byte(pinOnce)
	if slot == SlotSignature {
		policy = pinAlways
	}
	var control []byte
	control = ber.Append(control, 0x80, []byte{id})
	control = ber.Append(control, 0xAA, []byte{policy})
	control = ber.Append(control, 0xAB, []byte{touchNever})
	answer, err := c.do(command{ins: insGenerate, p2: byte(slot), data: ber.Append(nil, 0xAC, control)})
	if err != nil {
		return nil, fmt.Errorf("making a %s key in slot %s: %w", algorithm, slot, err)
	}
	reader := ber.NewReader(answer)
	template, err := reader.Expect(0x7F49)
	if err != nil {
		return nil, fmt.Errorf("making a %s key in slot %s: %w", algorithm, slot, err)
	}
	return parsePublic(id, template)
}

func (c *client) Attest(slot Slot) ([]*x509.Certificate, error) {
	answer, err := c.do(command{ins: insAttest, p1: byte(slot)})
	if err != nil {
		return nil, fmt.Errorf("attesting slot %s: %w", slot, err)
	}
	leaf, err := x509.ParseCertificate(answer)
	if err != nil {
		return nil, fmt.Errorf("attesting slot %s: %w", slot, err)
	}
	der, err := c.certificate(objectAttestation)
	if err != nil {
		return nil, fmt.Errorf("reading the attestation key's certificate: %w", err)
	}
	signer, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the attestation key's certificate: %w", err)
	}
	return []*x509.Certificate{leaf, signer}, nil
}

func (c *client) PutCertificate(slot Slot, der []byte) error {
	object, err := objectOf(slot)
	if err != nil {
		return err
	}
	if err := c.manage(); err != nil {
		return err
	}
	// SP 800-73-4 part 1 appendix A table 10: certificate, CertInfo 0 (not
	// compressed), error detection code.
	var content []byte
	content = ber.Append(content, 0x70, der)
	content = ber.Append(content, 0x71, []byte{0})
	content = ber.Append(content, 0xFE, nil)
	data := ber.Append(tagList(object), 0x53, content)
	if _, err := c.do(command{ins: insPutData, p1: 0x3F, p2: 0xFF, data: data}); err != nil {
		return fmt.Errorf("writing the certificate of slot %s: %w", slot, err)
	}
	return nil
}

func (c *client) Certificate(slot Slot) ([]byte, error) {
	object, err := objectOf(slot)
	if err != nil {
		return nil, err
	}
	der, err := c.certificate(object)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of slot %s: %w", slot, err)
	}
	return der, nil
}

func (c *client) certificate(object uint32) ([]byte, error) {
	answer, err := c.do(command{ins: insGetData, p1: 0x3F, p2: 0xFF, data: tagList(object)})
	if err != nil {
		return nil, err
	}
	content, err := find(answer, 0x53)
	if err != nil {
		return nil, err
	}
	der, err := find(content, 0x70)
	if err != nil {
		return nil, err
	}
	if info, err := find(content, 0x71); err == nil && len(info) == 1 && info[0] != 0 {
		return nil, errors.New("card: the certificate is compressed")
	}
	return der, nil
}

func objectOf(slot Slot) (uint32, error) {
	switch slot {
	case SlotAuthentication:
		return objectAuthentication, nil
	case SlotSignature:
		return objectSignature, nil
	}
	return 0, fmt.Errorf("card: slot %s is not one of a pair", slot)
}

func tagList(object uint32) []byte {
	return []byte{0x5C, 3, byte(object >> 16), byte(object >> 8), byte(object)}
}

// Key algorithms (SP 800-78-5 table 5) and policies.
const (
	idRSA2048  = 0x07
	idP256     = 0x11
	idP384     = 0x14
	pinNever   = 0x01
	pinOnce    = 0x02
	pinAlways  = 0x03
	touchNever = 0x01
)

func algorithmID(a Algorithm) (byte, error) {
	switch a {
	case P256:
		return idP256, nil
	case P384:
		return idP384, nil
	case RSA2048:
		return idRSA2048, nil
	}
	return 0, fmt.Errorf("card: %q is not an algorithm of PIV", a)
}

var errAnswer = errors.New("card: the answer is not understood")

// parsePublic reads the template of a public key (SP 800-73-4 part 2 table 11).
func parsePublic(id byte, template []byte) (crypto.PublicKey, error) {
	switch id {
	case idP256, idP384:
		curve := elliptic.P256()
		if id == idP384 {
			curve = elliptic.P384()
		}
		point, err := find(template, 0x86)
		if err != nil {
			return nil, err
		}
		return ecdsa.ParseUncompressedPublicKey(curve, point)
	case idRSA2048:
		n, err := find(template, 0x81)
		if err != nil {
			return nil, err
		}
		e, err := find(template, 0x82)
		if err != nil || len(e) == 0 || len(e) > 4 {
			return nil, errAnswer
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil
	}
	return nil, errAnswer
}

// find is the value of the first element with the tag in a series.
func find(series []byte, tag ber.Tag) ([]byte, error) {
	for r := ber.NewReader(series); !r.Empty(); {
		got, value, err := r.Next()
		if err != nil {
			return nil, errAnswer
		}
		if got == tag {
			return value, nil
		}
	}
	return nil, errAnswer
}
