package card

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"math/big"

	"cardinal/internal/ber"
)

// signer is a key that stays on the card.
type signer struct {
	client *client
	slot   Slot
	pin    string
	id     byte
	public crypto.PublicKey
}

// Signer looks the slot's public key up in its metadata. Each signature
// verifies the PIN first: the signature slot wants it, and the sign-in slot
// may have been powered off in between.
func (c *client) Signer(slot Slot, pin string) (crypto.Signer, error) {
	answer, err := c.do(command{ins: insMetadata, p2: byte(slot)})
	if err != nil {
		return nil, fmt.Errorf("reading the key of slot %s: %w", slot, err)
	}
	id, err := find(answer, 0x01)
	if err != nil || len(id) != 1 {
		return nil, fmt.Errorf("reading the key of slot %s: %w", slot, errAnswer)
	}
	template, err := find(answer, 0x04)
	if err != nil {
		return nil, fmt.Errorf("reading the key of slot %s: %w", slot, err)
	}
	public, err := parsePublic(id[0], template)
	if err != nil {
		return nil, fmt.Errorf("reading the key of slot %s: %w", slot, err)
	}
	return &signer{client: c, slot: slot, pin: pin, id: id[0], public: public}, nil
}

func (s *signer) Public() crypto.PublicKey { return s.public }

// Sign is crypto.Signer: ECDSA, RSA PKCS #1 v1.5 and PSS over a digest.
func (s *signer) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	input, err := s.input(random, digest, opts)
	if err != nil {
		return nil, err
	}
	if err := s.client.VerifyPIN(s.pin); err != nil {
		return nil, err
	}
	template := ber.Append(ber.Append(nil, 0x82, nil), 0x81, input)
	answer, err := s.client.do(command{ins: insAuthenticate, p1: s.id, p2: byte(s.slot), data: ber.Append(nil, 0x7C, template)})
	if err != nil {
		return nil, fmt.Errorf("signing with slot %s: %w", s.slot, err)
	}
	inner, err := find(answer, 0x7C)
	if err != nil {
		return nil, fmt.Errorf("signing with slot %s: %w", s.slot, err)
	}
	signature, err := find(inner, 0x82)
	if err != nil {
		return nil, fmt.Errorf("signing with slot %s: %w", s.slot, err)
	}
	return signature, nil
}

// input is what the card's private key operation is given.
func (s *signer) input(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	hash := opts.HashFunc()
	if !hash.Available() || hash.Size() != len(digest) {
		return nil, errors.New("card: only a digest of a known hash is signed")
	}
	switch public := s.public.(type) {
	case *ecdsa.PublicKey:
		return digest[:min(len(digest), (public.Params().BitSize+7)/8)], nil
	case *rsa.PublicKey:
		if pss, ok := opts.(*rsa.PSSOptions); ok {
			return encodePSS(random, public, digest, pss)
		}
		return encodePKCS1(public, hash, digest)
	}
	return nil, errors.New("card: a key of no known kind")
}

// encodePKCS1 is EMSA-PKCS1-v1_5 (RFC 8017 §9.2).
func encodePKCS1(public *rsa.PublicKey, hash crypto.Hash, digest []byte) ([]byte, error) {
	prefix := map[crypto.Hash]string{ // DigestInfo up to the digest, RFC 8017 §9.2 note 1
		crypto.SHA256: "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
		crypto.SHA384: "\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
		crypto.SHA512: "\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
	}[hash]
	size := public.Size()
	padding := size - 3 - len(prefix) - len(digest)
	if prefix == "" || padding < 8 {
		return nil, fmt.Errorf("card: no PKCS #1 signature over %s", hash)
	}
	block := make([]byte, 2, size)
	block[1] = 1
	for range padding {
		block = append(block, 0xFF)
	}
	block = append(block, 0)
	return append(append(block, prefix...), digest...), nil
}

// encodePSS is EMSA-PSS with MGF1 of the same hash (RFC 8017 §9.1.1).
func encodePSS(random io.Reader, public *rsa.PublicKey, digest []byte, o *rsa.PSSOptions) ([]byte, error) {
	hash := o.HashFunc()
	bits := public.N.BitLen() - 1
	size := (bits + 7) / 8
	saltLength := o.SaltLength
	switch saltLength {
	case rsa.PSSSaltLengthEqualsHash:
		saltLength = hash.Size()
	case rsa.PSSSaltLengthAuto:
		saltLength = size - hash.Size() - 2
	}
	if saltLength < 0 || size < hash.Size()+saltLength+2 {
		return nil, errors.New("card: the key is too short for this PSS signature")
	}
	salt := make([]byte, saltLength)
	if _, err := io.ReadFull(random, salt); err != nil {
		return nil, fmt.Errorf("drawing a salt: %w", err)
	}
	h := hash.New()
	h.Write(make([]byte, 8))
	h.Write(digest)
	h.Write(salt)
	sum := h.Sum(nil)
	block := make([]byte, size)
	masked := block[:size-len(sum)-1]
	masked[len(masked)-saltLength-1] = 1
	copy(masked[len(masked)-saltLength:], salt)
	mask(masked, sum, hash)
	masked[0] &= 0xFF >> (8*size - bits)
	copy(block[len(masked):], sum)
	block[size-1] = 0xBC
	return new(big.Int).SetBytes(block).FillBytes(make([]byte, public.Size())), nil
}

// mask is MGF1 (RFC 8017 appendix B.2.1), applied in place.
func mask(out, seed []byte, hash crypto.Hash) {
	var counter uint32
	for done := 0; done < len(out); counter++ {
		h := hash.New()
		h.Write(seed)
		h.Write([]byte{byte(counter >> 24), byte(counter >> 16), byte(counter >> 8), byte(counter)})
		for _, b := range h.Sum(nil) {
			if done == len(out) {
				return
			}
			out[done] ^= b
			done++
		}
	}
}
