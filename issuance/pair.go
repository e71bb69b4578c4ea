package issuance

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// PairRequest asks for a card's two certificates. Both requests are PKCS #10
// in DER (RFC 2986): only key and proof are used. RequestID is 8 to 64 of
// [A-Za-z0-9._-].
type PairRequest struct {
	RequestID         string
	AuthenticationCSR []byte
	SignatureCSR      []byte
	Attestation       *Attestation
	Proof             *HolderProof
}

// HolderProof is the card's present authentication key's signature with
// SHA-256 over the lines "cardinal renewal 1", card, request id and SignedAt
// (RFC 3339, whole seconds, UTC), each ended by LF.
type HolderProof struct {
	SignedAt  time.Time
	Signature []byte
}

// proofAge is how old a holder's proof may be, and how far in the future a
// station's clock may put it. New keys take the old ones' place in the card, so
// a station whose answer never came asks again with the proof it has: an hour
// covers a server that is restarted.
const proofAge = time.Hour

// Pair is a card's two certificates.
type Pair struct {
	Card           string
	Authentication Certificate
	Signature      Certificate
}

// asked is a PairRequest whose form and keys were judged.
type asked struct {
	PairRequest
	subject        string // the case or card
	authentication crypto.PublicKey
	signature      crypto.PublicKey
	content        [sha256.Size]byte
}

// judgePair judges what needs no register: the request id, the proofs of
// possession, the kinds and weaknesses of both keys, that they are two, and the
// card maker's attestation where one is demanded.
func (d *Desk) judgePair(subject string, r PairRequest) (*asked, error) {
	if !isRequestID(r.RequestID) {
		return nil, requestID.in("request_id", "want 8 to 64 of A-Z a-z 0-9 . _ -")
	}
	a := &asked{PairRequest: r, subject: subject, content: contentOf(subject, r)}
	var err error
	if a.authentication, err = proven("authentication_csr", r.AuthenticationCSR); err != nil {
		return nil, err
	}
	if a.signature, err = proven("signature_csr", r.SignatureCSR); err != nil {
		return nil, err
	}
	if policies.KeyDigest(a.authentication) == policies.KeyDigest(a.signature) {
		return nil, pairSameKey.in("signature_csr", "both requests are for one key")
	}
	return a, d.checkAttestation(a)
}

func isRequestID(id string) bool {
	return len(id) >= 8 && len(id) <= 64 && !strings.ContainsFunc(id, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
	})
}

func proven(field string, csr []byte) (crypto.PublicKey, error) {
	pub, err := policies.ProveCSR(csr)
	if err == nil {
		err = policies.CheckKey(pub, policies.KeyList{}) // the blocked ones are Decide's to know
	}
	if err != nil {
		return nil, turnedDown(KindRule, field, err)
	}
	return pub, nil
}

// contentOf names what a request id is bound to.
func contentOf(subject string, r PairRequest) [sha256.Size]byte {
	var b []byte
	for _, part := range [][]byte{[]byte(subject), r.AuthenticationCSR, r.SignatureCSR} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return sha256.Sum256(b)
}

// replayed looks the request id up: nil when it is new, the pair it got when
// operator, subject and content are the same, else requestOther.
func (a *asked) replayed(tx *ledger.Tx, by *actor) (*Pair, error) {
	var operator, subject, card string
	var content []byte
	var pair int64
	err := tx.QueryRow(`SELECT operator, subject, content, card, pair FROM issuance_requests WHERE id = $1`, a.RequestID).
		Scan(&operator, &subject, &content, &card, &pair)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading request %s: %w", a.RequestID, err)
	}
	if operator != by.identity || subject != a.subject || !bytes.Equal(content, a.content[:]) {
		return nil, requestOther.in("request_id", "%s was used before by another operator, for another subject or with other requests", a.RequestID)
	}
	return readPair(tx, card, pair)
}

// keysAreFree refuses a key that was on another card, or on this card before.
// Reserving checks the first again, under the lock.
func (a *asked) keysAreFree(tx *ledger.Tx, card string) error {
	for field, pub := range map[string]crypto.PublicKey{"authentication_csr": a.authentication, "signature_csr": a.signature} {
		digest := policies.KeyDigest(pub)
		use, seen, err := register.KeySeen(tx, digest)
		if err != nil {
			return err
		}
		if seen && use.Card != card {
			return keyOtherCard.in(field, "the key was certified before")
		}
		var before int64
		err = tx.QueryRow(`SELECT COUNT(*) FROM issuance_pairs WHERE card = $1 AND (authentication_key = $2 OR signature_key = $3)`,
			card, journal.Hash(digest), journal.Hash(digest)).Scan(&before)
		if err != nil {
			return fmt.Errorf("looking for the keys of card %s: %w", card, err)
		}
		if before > 0 {
			return keyUsedBefore.in(field, "the card had this key in an earlier pair")
		}
	}
	return nil
}

// checkProof demands the holder's proof by the key of the pair being replaced.
func (a *asked) checkProof(tx *ledger.Tx, card *Card, now time.Time) error {
	const field = "proof"
	if a.Proof == nil {
		return renewProof.in(field, "only the holder renews without the card's proof")
	}
	if age := now.Sub(a.Proof.SignedAt); age > proofAge || age < -proofAge {
		return renewProof.in(field+".signed_at", "the proof is of %s, not of the last %s", a.Proof.SignedAt.UTC().Format(time.RFC3339), proofAge)
	}
	held, err := register.CertificateOf(tx, card.Authentication)
	if err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(held.DER)
	if err != nil {
		return fmt.Errorf("parsing certificate %s: %w", card.Authentication, err)
	}
	statement := "cardinal renewal 1\n" + card.ID + "\n" + a.RequestID + "\n" + a.Proof.SignedAt.UTC().Format(time.RFC3339) + "\n"
	if !signedBy(cert.PublicKey, statement, a.Proof.Signature) {
		return renewProof.in(field+".signature", "it is not by the card's present authentication key")
	}
	return nil
}

func signedBy(pub crypto.PublicKey, statement string, signature []byte) bool {
	digest := sha256.Sum256([]byte(statement))
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, digest[:], signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, digest[:], signature) == nil
	}
	return false
}

// readPair gives one pair of a card with its certificates.
func readPair(tx *ledger.Tx, card string, pair int64) (*Pair, error) {
	var issuerA, serialA, issuerS, serialS []byte
	err := tx.QueryRow(`SELECT authentication_issuer, authentication_serial, signature_issuer, signature_serial
		FROM issuance_pairs WHERE card = $1 AND pair = $2`, card, pair).Scan(&issuerA, &serialA, &issuerS, &serialS)
	if err != nil {
		return nil, fmt.Errorf("reading pair %d of card %s: %w", pair, card, err)
	}
	p := &Pair{Card: card}
	if p.Authentication, err = register.CertificateOf(tx, refOf(issuerA, serialA)); err != nil {
		return nil, err
	}
	p.Signature, err = register.CertificateOf(tx, refOf(issuerS, serialS))
	return p, err
}

func refOf(issuer, serial []byte) certs.Ref {
	ref := certs.Ref{Serial: certs.Serial(serial)}
	copy(ref.Issuer[:], issuer)
	return ref
}
