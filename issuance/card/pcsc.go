//go:build pcsc

package card

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-piv/piv-go/v2/piv"
)

// Readers lists the names of the PC/SC readers there are.
func Readers() ([]string, error) { return piv.Cards() }

// pcsc is a Card in a PC/SC reader.
type pcsc struct {
	key        *piv.YubiKey
	management []byte
}

// OpenPCSC opens the PIV card in a reader, for this process alone. management
// is its management key, nil for the well-known one. Only cards that answer
// the version command of a widespread maker can be opened.
func OpenPCSC(reader string, management []byte) (Card, error) {
	key, err := piv.Open(reader)
	if err != nil {
		return nil, fmt.Errorf("opening the card in %s: %w", reader, err)
	}
	if len(management) == 0 {
		management = DefaultManagementKey()
	}
	return &pcsc{key: key, management: management}, nil
}

// Close leaves the card in the reader, and so must make it forget the PIN: see
// Retries.
func (c *pcsc) Close() error {
	_, err := c.key.FormFactor()
	return errors.Join(err, c.key.Close())
}

func (c *pcsc) Serial() (string, error) {
	serial, err := c.key.Serial()
	if err != nil {
		return "", fmt.Errorf("reading the serial number: %w", err)
	}
	return strconv.FormatUint(uint64(serial), 10), nil
}

// Retries must first make the card forget a verified PIN, since it does not
// tell the tries while one is, and a PIN may stand from whoever used the card
// before: selecting another application does that, as asking for the form does.
func (c *pcsc) Retries() (int, error) {
	tries, err := c.key.Retries()
	if err == nil || isBlocked(err) {
		return tries, err
	}
	if _, err := c.key.FormFactor(); err != nil {
		return 0, fmt.Errorf("reading the PIN's tries: %w", err)
	}
	if tries, err = c.key.Retries(); err != nil {
		return 0, fmt.Errorf("reading the PIN's tries: %w", err)
	}
	return tries, nil
}

func (c *pcsc) VerifyPIN(pin string) error {
	if _, err := padPIN(pin); err != nil {
		return err
	}
	return pinError(c.key.VerifyPIN(pin))
}

func (c *pcsc) ChangePIN(old, new string) error {
	if !goodPIN(new) {
		return ErrPINForm
	}
	return pinError(c.key.SetPIN(old, new))
}

func (c *pcsc) Unblock(puk, new string) error {
	if !goodPIN(new) {
		return ErrPINForm
	}
	return pinError(c.key.Unblock(puk, new))
}

func (c *pcsc) GenerateKey(slot Slot, algorithm Algorithm) (crypto.PublicKey, error) {
	where, err := pivSlot(slot)
	if err != nil {
		return nil, err
	}
	kind, known := map[Algorithm]piv.Algorithm{P256: piv.AlgorithmEC256, P384: piv.AlgorithmEC384, RSA2048: piv.AlgorithmRSA2048}[algorithm]
	if !known {
		return nil, fmt.Errorf("card: %q is not an algorithm of PIV", algorithm)
	}
	policy := piv.PINPolicyOnce
	if slot == SlotSignature {
		policy = piv.PINPolicyAlways
	}
	public, err := c.key.GenerateKey(c.management, where, piv.Key{Algorithm: kind, PINPolicy: policy, TouchPolicy: piv.TouchPolicyNever})
	if err != nil {
		return nil, fmt.Errorf("making a %s key in slot %s: %w", algorithm, slot, managed(err))
	}
	return public, nil
}

func (c *pcsc) Attest(slot Slot) ([]*x509.Certificate, error) {
	where, err := pivSlot(slot)
	if err != nil {
		return nil, err
	}
	leaf, err := c.key.Attest(where)
	if err != nil {
		return nil, fmt.Errorf("attesting slot %s: %w", slot, empty(err))
	}
	parent, err := c.key.AttestationCertificate()
	if err != nil {
		return nil, fmt.Errorf("reading the attestation key's certificate: %w", empty(err))
	}
	return []*x509.Certificate{leaf, parent}, nil
}

func (c *pcsc) Signer(slot Slot, pin string) (crypto.Signer, error) {
	where, err := pivSlot(slot)
	if err != nil {
		return nil, err
	}
	info, err := c.key.KeyInfo(where)
	if err != nil {
		return nil, fmt.Errorf("reading the key of slot %s: %w", slot, empty(err))
	}
	private, err := c.key.PrivateKey(where, info.PublicKey, piv.KeyAuth{PIN: pin, PINPolicy: piv.PINPolicyAlways})
	if err != nil {
		return nil, fmt.Errorf("using the key of slot %s: %w", slot, err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, errors.New("card: a key that does not sign")
	}
	return pcscSigner{signer}, nil
}

// pcscSigner gives a wrong PIN its own error.
type pcscSigner struct{ crypto.Signer }

func (s pcscSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := s.Signer.Sign(random, digest, opts)
	return signature, pinError(err)
}

func (c *pcsc) PutCertificate(slot Slot, der []byte) error {
	where, err := pivSlot(slot)
	if err != nil {
		return err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("writing the certificate of slot %s: %w", slot, err)
	}
	if err := c.key.SetCertificate(c.management, where, certificate); err != nil {
		return fmt.Errorf("writing the certificate of slot %s: %w", slot, managed(err))
	}
	return nil
}

func (c *pcsc) Certificate(slot Slot) ([]byte, error) {
	where, err := pivSlot(slot)
	if err != nil {
		return nil, err
	}
	certificate, err := c.key.Certificate(where)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of slot %s: %w", slot, empty(err))
	}
	return certificate.Raw, nil
}

func pivSlot(slot Slot) (piv.Slot, error) {
	switch slot {
	case SlotAuthentication:
		return piv.SlotAuthentication, nil
	case SlotSignature:
		return piv.SlotSignature, nil
	}
	return piv.Slot{}, fmt.Errorf("card: slot %s is not one of a pair", slot)
}

func pinError(err error) error {
	if auth := (piv.AuthErr{}); errors.As(err, &auth) {
		return &PINError{Retries: auth.Retries}
	}
	return err
}

func isBlocked(err error) bool { return errors.Is(pinError(err), ErrBlocked) }

func empty(err error) error {
	if errors.Is(err, piv.ErrNotFound) {
		return errors.Join(ErrEmpty, err)
	}
	return err
}

// managed tells a refused management key, status 6982, from other trouble.
func managed(err error) error {
	var status interface{ Status() uint16 }
	if errors.As(err, &status) && status.Status() == uint16(statusNotAllowed) {
		return errors.Join(ErrNotManaged, err)
	}
	return err
}
