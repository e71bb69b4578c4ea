package card

import (
	"crypto/rand"
	"crypto/subtle"

	"cardinal/internal/ber"
)

// authenticateManagement proves the management key: mutually (80 asked for,
// then 80 and 81), or the other side alone (81 asked for, then 82), SP 800-73-4
// part 2 appendix A.1 and A.2.
func (a *Applet) authenticateManagement(id byte, template []byte) ([]byte, status) {
	if id == 0 {
		id = id3DES // SP 800-78-5 table 5 note
	}
	if id != a.state.Management.Algorithm {
		return nil, statusParameters
	}
	block, err := managementCipher(id, a.state.Management.Key)
	if err != nil {
		return nil, statusMemory
	}
	witness, external := a.session.witness, a.session.external
	a.session.witness = nil
	value := func(tag ber.Tag) ([]byte, bool) {
		v, err := find(template, tag)
		return v, err == nil
	}
	if v, found := value(0x80); found && len(v) == 0 {
		return a.handOut(0x80, block.BlockSize(), block.Encrypt)
	}
	if v, found := value(0x81); found && len(v) == 0 {
		return a.handOut(0x81, block.BlockSize(), nil)
	}
	if len(witness) == 0 {
		return nil, statusConditions
	}
	if answer, found := value(0x82); found && external {
		expected := make([]byte, block.BlockSize())
		block.Encrypt(expected, witness)
		return nil, a.accept(answer, expected)
	}
	answer, _ := value(0x80)
	challenge, found := value(0x81)
	if !found || external || len(challenge) != block.BlockSize() {
		return nil, statusData
	}
	if s := a.accept(answer, witness); s != statusOK {
		return nil, s
	}
	response := make([]byte, block.BlockSize())
	block.Encrypt(response, challenge)
	return ber.Append(nil, 0x7C, ber.Append(nil, 0x82, response)), statusOK
}

// handOut draws a witness and gives it out, enciphered or in the clear.
func (a *Applet) handOut(tag ber.Tag, size int, encipher func(dst, src []byte)) ([]byte, status) {
	witness := make([]byte, size)
	if _, err := rand.Read(witness); err != nil {
		return nil, statusMemory
	}
	a.session.witness, a.session.external = witness, encipher == nil
	shown := witness
	if encipher != nil {
		shown = make([]byte, size)
		encipher(shown, witness)
	}
	return ber.Append(nil, 0x7C, ber.Append(nil, tag, shown)), statusOK
}

func (a *Applet) accept(answer, expected []byte) status {
	a.session.managed = subtle.ConstantTimeCompare(answer, expected) == 1
	if !a.session.managed {
		return statusNotAllowed
	}
	return statusOK
}

// setManagement changes the management key: algorithm, reference, length, key.
func (a *Applet) setManagement(c command) status {
	switch {
	case !a.session.managed:
		return statusNotAllowed
	case c.p1 != 0xFF || c.p2 < 0xFE:
		return statusParameters
	case len(c.data) < 3 || c.data[1] != managementReference || int(c.data[2]) != len(c.data)-3:
		return statusData
	}
	key := managementKey{Algorithm: c.data[0], Key: append([]byte(nil), c.data[3:]...)}
	if _, err := managementCipher(key.Algorithm, key.Key); err != nil {
		return statusData
	}
	a.state.Management = key
	return a.keep()
}

// setRetries changes how many tries PIN and PUK have, and sets both back to
// their first values, as widespread tokens do.
func (a *Applet) setRetries(c command) status {
	if !a.session.managed || !a.session.verified {
		return statusNotAllowed
	}
	if c.p1 == 0 || c.p2 == 0 {
		return statusParameters
	}
	a.state.setReferences(DefaultPIN, DefaultPUK)
	a.state.PIN.Tries, a.state.PIN.Left = int(c.p1), int(c.p1)
	a.state.PUK.Tries, a.state.PUK.Left = int(c.p2), int(c.p2)
	return a.keep()
}

// reset empties the card once PIN and PUK are both blocked. Serial number and
// attestation key stay.
func (a *Applet) reset() status {
	if a.state.PIN.Left > 0 || a.state.PUK.Left > 0 {
		return statusConditions
	}
	attestation := a.state.Objects["5fff01"]
	a.state.Keys = map[string]slotKey{}
	a.state.Objects = map[string][]byte{"5fff01": attestation}
	a.state.setReferences(DefaultPIN, DefaultPUK)
	a.state.Management = managementKey{id3DES, DefaultManagementKey()}
	a.session = session{selected: true}
	return a.keep()
}
