package api

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"time"
)

// HolderProof shows that a card lay in the reader, with its passcode, when
// somebody else than its holder asks for its renewal: the card's present
// authentication key signs the card number, the request id and the time. A
// station makes it before new keys take the old ones' place, so it cannot name
// the new keys; the request id ties it to the two requests that arrive with it.
type HolderProof struct {
	SignedAt  time.Time `json:"signed_at"` // whole seconds, at most an hour old
	Signature []byte    `json:"signature"`
}

// NewHolderProof has the card's present authentication key sign.
func NewHolderProof(key crypto.Signer, card, requestID string, now time.Time) (*HolderProof, error) {
	at := now.UTC().Truncate(time.Second)
	digest := proofDigest(card, requestID, at)
	sig, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("signing the holder's proof for card %s: %w", card, err)
	}
	return &HolderProof{SignedAt: at, Signature: sig}, nil
}

// Verify reports whether the proof is by pub for this card and request. It
// does not judge SignedAt.
func (p *HolderProof) Verify(pub crypto.PublicKey, card, requestID string) bool {
	digest := proofDigest(card, requestID, p.SignedAt)
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, digest[:], p.Signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, digest[:], p.Signature) == nil
	}
	return false
}

// proofDigest hashes lines, none of which can hold a line break: both ids are
// checked against their alphabets before a proof is looked at.
func proofDigest(card, requestID string, at time.Time) [32]byte {
	return sha256.Sum256([]byte("cardinal renewal 1\n" + card + "\n" + requestID + "\n" +
		at.UTC().Format(time.RFC3339) + "\n"))
}
