package register

import (
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// Intent is a certificate about to be signed: enough to say later what the
// serial was for, whatever happened to the process that reserved it. Holder is
// a 12-digit user id or the name of a machine, Card empty for what is on no
// card, Request whoever asked calls it. Key is the SHA-256 of the subject's
// SubjectPublicKeyInfo, Policy the hash of the rules it was decided under. TBS
// is the to-be-signed certificate. Reserved is set by OpenIntents.
type Intent struct {
	certs.Ref
	Profile  string
	Holder   string
	Card     string
	Request  string
	Shard    uint16
	Key      [sha256.Size]byte
	Policy   [sha256.Size]byte
	TBS      []byte
	Reserved time.Time
}

// Signed is a certificate ready to be recorded.
type Signed struct {
	certs.Ref
	DER []byte
}

// KeySeenError refuses a key that another card or holder uses already.
type KeySeenError struct{ Use KeyUse }

// Error names the other use.
func (e *KeySeenError) Error() string {
	return fmt.Sprintf("the key was seen before: card %q of %q", e.Use.Card, e.Use.Holder)
}

// Reserve writes intents down, all or none. Errors: ErrSerialTaken,
// ErrUnknownIssuer, ErrUnknownShard, *KeySeenError.
func Reserve(tx *ledger.Tx, intents ...Intent) error {
	for i := range intents {
		if err := reserve(tx, &intents[i]); err != nil {
			return fmt.Errorf("reserving %s: %w", intents[i].Ref, err)
		}
	}
	return nil
}

func reserve(tx *ledger.Tx, in *Intent) error {
	outline, err := certs.OutlineOfTBS(in.TBS)
	if err != nil {
		return err
	}
	if outline.Serial != in.Serial {
		return fmt.Errorf("%w: its serial is %s", ErrOtherContent, outline.Serial)
	}
	shards, err := shardsOf(tx, in.Issuer)
	if err != nil {
		return err
	}
	if in.Shard >= shards {
		return fmt.Errorf("%w: %d of %d", ErrUnknownShard, in.Shard, shards)
	}
	if err := refuseSeenKey(tx, in); err != nil {
		return err
	}
	n, err := tx.Exec(`INSERT INTO certs_serial (issuer, serial, state, profile, holder, card, request, shard,
		key_digest, policy, tbs_hash, not_before, not_after, reserved, why)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, '')
		ON CONFLICT (issuer, serial) DO NOTHING`,
		journal.Hash(in.Issuer), []byte(in.Serial), serialReserved, in.Profile, in.Holder, in.Card, in.Request, in.Shard,
		journal.Hash(in.Key), journal.Hash(in.Policy), journal.Hash(sha256.Sum256(in.TBS)),
		outline.NotBefore, outline.NotAfter, tx.Time())
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrSerialTaken
	}
	tx.Defer(`INSERT INTO certs_intent (issuer, serial, tbs, open) VALUES ($1, $2, $3, 1)`,
		journal.Hash(in.Issuer), []byte(in.Serial), in.TBS)
	return nil
}

// refuseSeenKey compares with every other use: two cards never share a key, and
// a card shares none with a machine. A machine may renew with the key it has.
func refuseSeenKey(tx *ledger.Tx, in *Intent) error {
	uses, err := keyUses(tx, in.Key)
	if err != nil {
		return err
	}
	for _, use := range uses {
		if use.Card != in.Card {
			return &KeySeenError{use}
		}
	}
	return nil
}

// Record turns intents into certificates that are good from this transaction
// on, all or none, and announces them. Errors: ErrNotReserved, ErrOtherContent.
func Record(tx *ledger.Tx, signed []Signed) error {
	recorded := map[certs.IssuerID]*certs.Recorded{}
	var order []*certs.Recorded
	for i := range signed {
		s := &signed[i]
		entry, err := record(tx, s)
		if err != nil {
			return fmt.Errorf("recording certificate %s: %w", s.Ref, err)
		}
		r := recorded[s.Issuer]
		if r == nil {
			r = &certs.Recorded{Issuer: s.Issuer}
			recorded[s.Issuer], order = r, append(order, r)
		}
		r.Certificates = append(r.Certificates, entry)
	}
	for _, r := range order {
		for _, part := range r.Split() {
			tx.Append(journal.KindCertificatesRecorded, certs.RecordedVersion, part.Append(nil))
		}
	}
	return nil
}

func record(tx *ledger.Tx, s *Signed) (certs.RecordedCertificate, error) {
	outline, err := certs.OutlineOf(s.DER)
	if err != nil {
		return certs.RecordedCertificate{}, err
	}
	entry, err := settle(tx, s.Ref, serialRecorded, "")
	if err != nil {
		return entry, err
	}
	if journal.Hash(sha256.Sum256(outline.TBS)) != entry.Digest {
		return entry, ErrOtherContent
	}
	entry.Digest = sha256.Sum256(s.DER)
	tx.Defer(`INSERT INTO certs_certificate (issuer, serial, digest, der) VALUES ($1, $2, $3, $4)`,
		journal.Hash(s.Issuer), []byte(s.Serial), entry.Digest, s.DER)
	tx.Defer(`DELETE FROM certs_intent WHERE issuer = $1 AND serial = $2`, journal.Hash(s.Issuer), []byte(s.Serial))
	return entry, nil
}

// settle ends a reservation; in the entry's Digest stands what was promised.
func settle(tx *ledger.Tx, ref certs.Ref, state int, why string) (certs.RecordedCertificate, error) {
	entry := certs.RecordedCertificate{Serial: ref.Serial}
	var tbs []byte
	var notAfter stamp
	err := tx.QueryRow(`UPDATE certs_serial SET state = $1, settled = $2, why = $3
		WHERE issuer = $4 AND serial = $5 AND state = $6 RETURNING tbs_hash, not_after, shard, profile, holder`,
		state, tx.Time(), why, journal.Hash(ref.Issuer), []byte(ref.Serial), serialReserved).
		Scan(&tbs, &notAfter, &entry.Shard, &entry.Profile, &entry.Holder)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotReserved
	}
	entry.NotAfter = notAfter.time()
	copy(entry.Digest[:], tbs)
	return entry, err
}

// Spoil ends an intent whose certificate will not be delivered, whether it was
// signed or not: the serial is recorded without a certificate and revoked at
// once, so that a copy that does exist somewhere is good nowhere. The intent
// stays as evidence, with why. ErrNotReserved when it was settled before.
func Spoil(tx *ledger.Tx, ref certs.Ref, why string) error {
	entry, err := settle(tx, ref, serialSpoiled, why)
	if err != nil {
		return fmt.Errorf("spoiling %s: %w", ref, err)
	}
	entry.Digest = journal.Hash{}
	tx.Defer(`UPDATE certs_intent SET open = 0 WHERE issuer = $1 AND serial = $2`,
		journal.Hash(ref.Issuer), []byte(ref.Serial))
	recorded := certs.Recorded{Issuer: ref.Issuer, Certificates: []certs.RecordedCertificate{entry}}
	tx.Append(journal.KindCertificatesRecorded, certs.RecordedVersion, recorded.Append(nil))
	status := certs.Revoked(certs.ReasonUnspecified)
	status.At = wholeSecond(tx.Time())
	c := &changing{tx: tx}
	c.collect(&row{ref: ref, shard: entry.Shard, end: entry.NotAfter}, status)
	if err := c.finish(); err != nil {
		return fmt.Errorf("spoiling %s: %w", ref, err)
	}
	return nil
}

// OpenIntents gives what was reserved and never settled, oldest first.
func OpenIntents(tx *ledger.Tx) ([]Intent, error) {
	rows, err := tx.Query(`SELECT s.issuer, s.serial, s.profile, s.holder, s.card, s.request, s.shard,
		s.key_digest, s.policy, i.tbs, s.reserved
		FROM certs_intent i JOIN certs_serial s ON s.issuer = i.issuer AND s.serial = i.serial
		WHERE i.open = 1 ORDER BY s.reserved, s.serial`)
	if err != nil {
		return nil, fmt.Errorf("reading open intents: %w", err)
	}
	defer rows.Close()
	var out []Intent
	for rows.Next() {
		var in Intent
		var issuer, serial, key, policy []byte
		var reserved stamp
		if err := rows.Scan(&issuer, &serial, &in.Profile, &in.Holder, &in.Card, &in.Request, &in.Shard,
			&key, &policy, &in.TBS, &reserved); err != nil {
			return nil, fmt.Errorf("reading open intents: %w", err)
		}
		in.Ref = refOf(issuer, serial)
		copy(in.Key[:], key)
		copy(in.Policy[:], policy)
		in.Reserved = reserved.time()
		out = append(out, in)
	}
	return out, rows.Err()
}

func refOf(issuer, serial []byte) certs.Ref {
	ref := certs.Ref{Serial: certs.Serial(serial)}
	copy(ref.Issuer[:], issuer)
	return ref
}
