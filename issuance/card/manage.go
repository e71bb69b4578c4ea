package card

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"

	"cardinal/internal/ber"
)

// Algorithms of the management key (SP 800-78-5 table 5).
const (
	id3DES   = 0x03
	idAES128 = 0x08
	idAES192 = 0x0A
	idAES256 = 0x0C

	managementReference = 0x9B
)

// managementCipher checks the key's length against its algorithm.
func managementCipher(id byte, key []byte) (cipher.Block, error) {
	length := map[byte]int{id3DES: 24, idAES128: 16, idAES192: 24, idAES256: 32}[id]
	switch {
	case length == 0 || length != len(key):
		return nil, ErrNotManaged
	case id == id3DES: // what cards of this kind leave the factory with
		return des.NewTripleDESCipher(key)
	}
	return aes.NewCipher(key)
}

// manage proves the management key to the card and has the card prove it back
// (SP 800-73-4 part 2 appendix A.1).
func (c *client) manage() error {
	id := byte(id3DES)
	if answer, err := c.do(command{ins: insMetadata, p2: managementReference}); err == nil {
		if value, err := find(answer, 0x01); err == nil && len(value) == 1 {
			id = value[0]
		}
	}
	block, err := managementCipher(id, c.management)
	if err != nil {
		return err
	}
	witness, err := c.authenticate(id, ber.Append(nil, 0x80, nil), 0x80)
	if err != nil {
		return fmt.Errorf("asking for a witness: %w", err)
	}
	if len(witness) != block.BlockSize() {
		return fmt.Errorf("asking for a witness: %w", errAnswer)
	}
	plain := make([]byte, block.BlockSize())
	block.Decrypt(plain, witness)
	challenge := make([]byte, block.BlockSize())
	if _, err := rand.Read(challenge); err != nil {
		return fmt.Errorf("making a challenge: %w", err)
	}
	data := ber.Append(ber.Append(nil, 0x80, plain), 0x81, challenge)
	response, err := c.authenticate(id, data, 0x82)
	if status := StatusError(0); errors.As(err, &status) {
		return ErrNotManaged
	}
	if err != nil {
		return fmt.Errorf("proving the management key: %w", err)
	}
	want := make([]byte, block.BlockSize())
	block.Encrypt(want, challenge)
	if subtle.ConstantTimeCompare(response, want) != 1 {
		return ErrNotManaged
	}
	return nil
}

// authenticate sends a dynamic authentication template to the management key
// and finds one tag in the answer's.
func (c *client) authenticate(id byte, template []byte, tag ber.Tag) ([]byte, error) {
	answer, err := c.do(command{ins: insAuthenticate, p1: id, p2: managementReference, data: ber.Append(nil, 0x7C, template)})
	if err != nil {
		return nil, err
	}
	inner, err := find(answer, 0x7C)
	if err != nil {
		return nil, err
	}
	return find(inner, tag)
}
