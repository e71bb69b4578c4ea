package register

import (
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// Certificate is everything the register knows about one serial that was
// recorded. A spoiled serial has no DER and a zero Digest; Why says what
// happened. Policy is the hash of the rules it was issued under.
type Certificate struct {
	certs.Ref
	DER       []byte
	Digest    journal.Hash
	Profile   string
	Holder    string
	Card      string
	Request   string
	Shard     uint16
	Key       [sha256.Size]byte
	Policy    [sha256.Size]byte
	TBSHash   [sha256.Size]byte
	NotBefore time.Time
	NotAfter  time.Time
	Reserved  time.Time
	Recorded  time.Time
	Spoiled   bool
	Why       string
	Status    certs.Status
	Changed   time.Time // when the status was last changed, zero for never
}

const certificateQuery = `SELECT s.issuer, s.serial, s.state, s.profile, s.holder, s.card, s.request, s.shard,
	s.key_digest, s.policy, s.tbs_hash, s.not_before, s.not_after, s.reserved, s.settled, s.why,
	c.digest, c.der, ` + standingColumns + `
	FROM certs_serial s LEFT JOIN certs_certificate c ON c.issuer = s.issuer AND c.serial = s.serial` + standingOf + `
	WHERE s.state <> 0`

type scanner interface{ Scan(into ...any) error }

func scanCertificate(from scanner) (Certificate, error) {
	var c Certificate
	var state int
	var issuer, serial, key, policy, tbs, digest []byte
	var notBefore, notAfter, reserved, recorded stamp
	var status scannedStanding
	err := from.Scan(append([]any{&issuer, &serial, &state, &c.Profile, &c.Holder, &c.Card, &c.Request, &c.Shard,
		&key, &policy, &tbs, &notBefore, &notAfter, &reserved, &recorded, &c.Why, &digest, &c.DER}, status.into()...)...)
	c.Ref, c.Spoiled = refOf(issuer, serial), state == serialSpoiled
	copy(c.Key[:], key)
	copy(c.Policy[:], policy)
	copy(c.TBSHash[:], tbs)
	copy(c.Digest[:], digest)
	c.NotBefore, c.NotAfter = notBefore.time(), notAfter.time()
	c.Reserved, c.Recorded = reserved.time(), recorded.time()
	if err == nil {
		var is standing
		is, _, err = status.of(c.Serial)
		c.Status, c.Changed = is.status, is.changed
	}
	return c, err
}

// CertificateOf finds one certificate; ErrUnknownSerial.
func CertificateOf(tx *ledger.Tx, ref certs.Ref) (Certificate, error) {
	c, err := scanCertificate(tx.QueryRow(certificateQuery+` AND s.issuer = $1 AND s.serial = $2`,
		journal.Hash(ref.Issuer), []byte(ref.Serial)))
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrUnknownSerial
	}
	if err != nil {
		return c, fmt.Errorf("reading certificate %s: %w", ref, err)
	}
	return c, nil
}

// ByHolder gives the certificates of a person or machine, newest first.
func ByHolder(tx *ledger.Tx, holder string) ([]Certificate, error) {
	return collect(query(tx, ` AND s.holder = $1 ORDER BY s.reserved DESC, s.profile`, holder))
}

// ByCard gives the certificates of a card, newest first.
func ByCard(tx *ledger.Tx, card string) ([]Certificate, error) {
	return collect(query(tx, ` AND s.card = $1 ORDER BY s.reserved DESC, s.profile`, card))
}

// BySerial gives the certificates with this serial, of whichever issuer.
func BySerial(tx *ledger.Tx, serial certs.Serial) ([]Certificate, error) {
	return collect(query(tx, ` AND s.serial = $1 ORDER BY s.issuer`, []byte(serial)))
}

// All gives every certificate with its status, ordered by issuer and serial,
// one at a time. While it runs the transaction can do nothing else.
func All(tx *ledger.Tx) iter.Seq2[Certificate, error] {
	return query(tx, ` ORDER BY s.issuer, s.serial`)
}

func query(tx *ledger.Tx, condition string, args ...any) iter.Seq2[Certificate, error] {
	return func(yield func(Certificate, error) bool) {
		rows, err := tx.Query(certificateQuery+condition, args...)
		if err != nil {
			yield(Certificate{}, fmt.Errorf("reading certificates: %w", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			c, err := scanCertificate(rows)
			if !yield(c, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Certificate{}, fmt.Errorf("reading certificates: %w", err))
		}
	}
}

func collect(all iter.Seq2[Certificate, error]) ([]Certificate, error) {
	var out []Certificate
	for c, err := range all {
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// KeyUse is who used a key, on which card; Card is empty for a machine's.
type KeyUse struct {
	Holder string
	Card   string
}

// KeySeen looks a public key up by the SHA-256 of its SubjectPublicKeyInfo
// among all serials reserved or recorded, and gives its first use. Spoiled
// serials do not count: an issue that was interrupted may be asked for again
// with the keys the card made.
func KeySeen(tx *ledger.Tx, digest [sha256.Size]byte) (KeyUse, bool, error) {
	uses, err := keyUses(tx, digest)
	if err != nil || len(uses) == 0 {
		return KeyUse{}, false, err
	}
	return uses[0], true, nil
}

func keyUses(tx *ledger.Tx, digest [sha256.Size]byte) ([]KeyUse, error) {
	rows, err := tx.Query(`SELECT holder, card FROM certs_serial WHERE key_digest = $1 AND state <> $2
		ORDER BY reserved, serial`, journal.Hash(digest), serialSpoiled)
	if err != nil {
		return nil, fmt.Errorf("looking up a key: %w", err)
	}
	defer rows.Close()
	var uses []KeyUse
	for rows.Next() {
		var u KeyUse
		if err := rows.Scan(&u.Holder, &u.Card); err != nil {
			return nil, fmt.Errorf("looking up a key: %w", err)
		}
		uses = append(uses, u)
	}
	return uses, rows.Err()
}

// OfIssuer gives every certificate of one authority, ordered by serial, one at a
// time. While it runs the transaction can do nothing else.
func OfIssuer(tx *ledger.Tx, id certs.IssuerID) iter.Seq2[Certificate, error] {
	return query(tx, ` AND s.issuer = $1 ORDER BY s.serial`, journal.Hash(id))
}
