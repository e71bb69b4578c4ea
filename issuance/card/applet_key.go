package card

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"slices"

	"cardinal/internal/ber"
)

// keySlots may hold a key of the holder's: sign-in, signature, key management,
// card authentication.
func isKeySlot(slot byte) bool {
	return slices.Contains([]byte{0x9A, 0x9C, 0x9D, 0x9E}, slot)
}

// generate is GENERATE ASYMMETRIC KEY PAIR (SP 800-73-4 part 2 §3.3.1), with
// PIN and touch policy as widespread clients send them.
func (a *Applet) generate(c command) ([]byte, status) {
	switch {
	case !a.session.managed:
		return nil, statusNotAllowed
	case c.p1 != 0 || !isKeySlot(c.p2):
		return nil, statusParameters
	}
	reader := ber.NewReader(c.data)
	control, err := reader.Expect(0xAC)
	if err != nil {
		return nil, statusData
	}
	id, err := find(control, 0x80)
	if err != nil || len(id) != 1 {
		return nil, statusData
	}
	key := slotKey{Algorithm: id[0], PIN: defaultPolicy(c.p2), Touch: touchNever}
	if policy, err := find(control, 0xAA); err == nil && len(policy) == 1 && policy[0] != 0 {
		key.PIN = policy[0]
	}
	if policy, err := find(control, 0xAB); err == nil && len(policy) == 1 && policy[0] != 0 {
		key.Touch = policy[0]
	}
	if key.PIN > pinAlways || key.Touch > 3 {
		return nil, statusData
	}
	private, err := newPrivate(key.Algorithm)
	if err != nil {
		return nil, statusData
	}
	if key.Private, err = x509.MarshalPKCS8PrivateKey(private); err != nil {
		return nil, statusMemory
	}
	a.state.Keys[slotName(c.p2)] = key
	if s := a.keep(); s != statusOK {
		return nil, s
	}
	return ber.Append(nil, 0x7F49, publicTemplate(private.Public())), statusOK
}

// defaultPolicy is SP 800-73-4 part 1 table 4b: always for signatures, never
// for card authentication, else once.
func defaultPolicy(slot byte) byte {
	switch slot {
	case 0x9C:
		return pinAlways
	case 0x9E:
		return pinNever
	}
	return pinOnce
}

func newPrivate(id byte) (crypto.Signer, error) {
	switch id {
	case idP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case idP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case idRSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return nil, errAnswer
}

// publicTemplate is SP 800-73-4 part 2 table 11 without its outer tag.
func publicTemplate(public crypto.PublicKey) []byte {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			return nil
		}
		return ber.Append(nil, 0x86, point)
	case *rsa.PublicKey:
		e := big.NewInt(int64(k.E)).Bytes()
		return ber.Append(ber.Append(nil, 0x81, k.N.Bytes()), 0x82, e)
	}
	return nil
}

// metadata tells of a key, the PIN or PUK, or the management key, in the form
// one maker gave it and others took over.
func (a *Applet) metadata(c command) ([]byte, status) {
	switch c.p2 {
	case managementReference:
		known := bytes.Equal(a.state.Management.Key, DefaultManagementKey())
		answer := ber.Append(nil, 0x01, []byte{a.state.Management.Algorithm})
		return ber.Append(ber.Append(answer, 0x02, []byte{0, touchNever}), 0x05, flag(known)), statusOK
	case pinReference:
		return referenceMetadata(a.state.PIN, DefaultPIN), statusOK
	case pukReference:
		return referenceMetadata(a.state.PUK, DefaultPUK), statusOK
	}
	key, found := a.state.Keys[slotName(c.p2)]
	if !found {
		return nil, statusNoReference
	}
	private, err := parsePrivate(key.Private)
	if err != nil {
		return nil, statusMemory
	}
	answer := ber.Append(nil, 0x01, []byte{key.Algorithm})
	answer = ber.Append(answer, 0x02, []byte{key.PIN, key.Touch})
	answer = ber.Append(answer, 0x03, []byte{0x01}) // made on the card
	return ber.Append(answer, 0x04, publicTemplate(private.Public())), statusOK
}

func referenceMetadata(r reference, initial string) []byte {
	known := string(bytes.TrimRight(r.Value, "\xff")) == initial
	answer := ber.Append(nil, 0x01, []byte{0xFF})
	answer = ber.Append(answer, 0x05, flag(known))
	return ber.Append(answer, 0x06, []byte{byte(r.Tries), byte(r.Left)})
}

func flag(b bool) []byte {
	if b {
		return []byte{1}
	}
	return []byte{0}
}

func (a *Applet) attest(c command) ([]byte, status) {
	key, found := a.state.Keys[slotName(c.p1)]
	if !found {
		return nil, statusNoReference
	}
	der, err := a.state.attest(c.p1, key)
	if err != nil {
		return nil, statusMemory
	}
	return der, statusOK
}

// authenticate is GENERAL AUTHENTICATE (SP 800-73-4 part 2 §3.2.4).
func (a *Applet) authenticate(c command, fresh bool) ([]byte, status) {
	reader := ber.NewReader(c.data)
	template, err := reader.Expect(0x7C)
	if err != nil {
		return nil, statusData
	}
	if c.p2 == managementReference {
		return a.authenticateManagement(c.p1, template)
	}
	key, found := a.state.Keys[slotName(c.p2)]
	switch {
	case !found:
		return nil, statusNoReference
	case c.p1 != key.Algorithm:
		return nil, statusParameters
	case key.PIN == pinAlways && !fresh, key.PIN == pinOnce && !a.session.verified:
		return nil, statusNotAllowed
	}
	private, err := parsePrivate(key.Private)
	if err != nil {
		return nil, statusMemory
	}
	result, err := usePrivate(private, template)
	if err != nil {
		return nil, statusData
	}
	return ber.Append(nil, 0x7C, ber.Append(nil, 0x82, result)), statusOK
}

// usePrivate signs a challenge (81) or agrees on a key (85).
func usePrivate(private crypto.Signer, template []byte) ([]byte, error) {
	if point, err := find(template, 0x85); err == nil {
		key, ok := private.(*ecdsa.PrivateKey)
		if !ok {
			return nil, errAnswer
		}
		own, err := key.ECDH()
		if err != nil {
			return nil, err
		}
		peer, err := own.Curve().NewPublicKey(point)
		if err != nil {
			return nil, err
		}
		return own.ECDH(peer)
	}
	challenge, err := find(template, 0x81)
	if err != nil || len(challenge) == 0 {
		return nil, errAnswer
	}
	switch key := private.(type) {
	case *ecdsa.PrivateKey:
		return ecdsa.SignASN1(rand.Reader, key, challenge)
	case *rsa.PrivateKey:
		return rawRSA(key, challenge)
	}
	return nil, errAnswer
}

// rawRSA is RSADP (RFC 8017 §5.1.2): the card is given a padded block. Not in
// constant time; a simulated card has nothing to hide from its own machine.
func rawRSA(key *rsa.PrivateKey, block []byte) ([]byte, error) {
	m := new(big.Int).SetBytes(block)
	if len(block) != key.Size() || m.Cmp(key.N) >= 0 {
		return nil, errAnswer
	}
	return m.Exp(m, key.D, key.N).FillBytes(make([]byte, key.Size())), nil
}
