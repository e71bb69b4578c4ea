package journal

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Checkpoint is a statement about a journal: at Position, in Epoch, the chain had this Link, and the state called Scope
// (the rows of the registers, or one layout of a replica) had this digest.
type Checkpoint struct {
	Epoch    Epoch
	Position Position
	Time     time.Time // of the head when the statement was made
	Link     Hash
	Scope    string // what State is the digest of, for instance "ledger"; at most 255 bytes
	State    Hash   // zero when only the chain is stated
}

// SignedCheckpoint is a Checkpoint with the signature of a key that is not in the database. Whoever checks it must know
// the public key already; Key only says which of several it was.
type SignedCheckpoint struct {
	Checkpoint
	Key       Hash // SHA-256 of the signer's SubjectPublicKeyInfo
	Signature []byte
}

// checkpointDomain separates checkpoint signatures from everything else a key may sign.
const checkpointDomain = "cardinal journal checkpoint 1\x00"

// maxSignature bounds what ParseCheckpoint accepts: an RSA-8192 signature.
const maxSignature = 1024

// ErrBadSignature: a checkpoint was not signed by this key.
var ErrBadSignature = errors.New("the signature does not fit")

func (c *Checkpoint) append(b []byte) []byte {
	e := NewEncoder(b)
	e.AppendUint(uint64(c.Epoch))
	e.AppendUint(uint64(c.Position))
	e.AppendTime(c.Time)
	e.AppendHash(c.Link)
	e.AppendString(c.Scope)
	e.AppendHash(c.State)
	return e.Bytes()
}

func (c *Checkpoint) digest() Hash {
	return sha256.Sum256(c.append([]byte(checkpointDomain)))
}

// Sign signs c: ECDSA and RSA (PKCS #1 v1.5) over the SHA-256 of the statement, Ed25519 over that digest as its message.
func (c Checkpoint) Sign(key crypto.Signer) (SignedCheckpoint, error) {
	if len(c.Scope) > 255 {
		return SignedCheckpoint{}, fmt.Errorf("signing checkpoint: scope of %d bytes: %w", len(c.Scope), ErrMalformed)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return SignedCheckpoint{}, fmt.Errorf("signing checkpoint: %w", err)
	}
	var opts crypto.SignerOpts = crypto.SHA256
	if _, ok := key.Public().(ed25519.PublicKey); ok {
		opts = crypto.Hash(0)
	}
	digest := c.digest()
	signature, err := key.Sign(rand.Reader, digest[:], opts)
	if err != nil {
		return SignedCheckpoint{}, fmt.Errorf("signing checkpoint at position %d: %w", c.Position, err)
	}
	return SignedCheckpoint{Checkpoint: c, Key: sha256.Sum256(spki), Signature: signature}, nil
}

// Verify checks the signature with a key the caller trusts; ErrBadSignature if it does not fit.
func (s *SignedCheckpoint) Verify(pub crypto.PublicKey) error {
	digest := s.digest()
	ok := false
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(pub, digest[:], s.Signature)
	case *rsa.PublicKey:
		ok = rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest[:], s.Signature) == nil
	case ed25519.PublicKey:
		ok = ed25519.Verify(pub, digest[:], s.Signature)
	}
	if !ok {
		return fmt.Errorf("verifying checkpoint at position %d: %w", s.Position, ErrBadSignature)
	}
	return nil
}

// Append appends the encoded checkpoint: the body of a KindCheckpoint change, version 1, and the form it is exported in.
func (s *SignedCheckpoint) Append(b []byte) []byte {
	e := NewEncoder(s.append(b))
	e.AppendHash(s.Key)
	e.AppendBytes(s.Signature)
	return e.Bytes()
}

// ParseCheckpoint reads what Append wrote. It does not check the signature. Errors wrap ErrMalformed.
func ParseCheckpoint(b []byte) (SignedCheckpoint, error) {
	d := NewDecoder(b)
	var s SignedCheckpoint
	s.Epoch = Epoch(d.Uint())
	s.Position = Position(d.Uint())
	s.Time = d.Time()
	s.Link = d.Hash()
	scope := d.Bytes()
	if len(scope) > 255 {
		d.Fail("scope above 255 bytes")
	}
	s.Scope = string(scope)
	s.State = d.Hash()
	s.Key = d.Hash()
	signature := d.Bytes()
	if len(signature) > maxSignature {
		d.Fail("signature above its limit")
	}
	s.Signature = append([]byte(nil), signature...)
	if err := d.End(); err != nil {
		return SignedCheckpoint{}, fmt.Errorf("reading checkpoint: %w", err)
	}
	return s, nil
}

// EpochBegan is the body (version 1) of the change that opens an epoch.
type EpochBegan struct {
	Epoch  Epoch
	Reason string // restore, failover: for people
	// What the epoch before had reached, as far as this ledger knew it.
	Previous     Epoch
	PreviousTime time.Time
}

// Append appends the encoded body.
func (x *EpochBegan) Append(b []byte) []byte {
	e := NewEncoder(b)
	e.AppendUint(uint64(x.Epoch))
	e.AppendString(x.Reason)
	e.AppendUint(uint64(x.Previous))
	e.AppendTime(x.PreviousTime)
	return e.Bytes()
}

// ParseEpochBegan reads what Append wrote. Errors wrap ErrMalformed.
func ParseEpochBegan(b []byte) (EpochBegan, error) {
	d := NewDecoder(b)
	x := EpochBegan{Epoch: Epoch(d.Uint()), Reason: d.String(), Previous: Epoch(d.Uint()), PreviousTime: d.Time()}
	if err := d.End(); err != nil {
		return EpochBegan{}, fmt.Errorf("reading epoch: %w", err)
	}
	return x, nil
}
