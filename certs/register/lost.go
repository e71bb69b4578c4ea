package register

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// Lost is a certificate that was issued in a history this ledger does not have:
// all that a copy of that history tells of it. NotAfter may be later than the
// certificate's own, never earlier. Reason and Invalidity go with the
// revocation.
type Lost struct {
	certs.Ref
	Shard      uint16
	NotAfter   time.Time
	Reason     certs.Reason
	Invalidity time.Time
}

// The profile and the story of a lost certificate.
const (
	lostProfile = "lost"
	lostWhy     = "issued after the backup this ledger was restored from"
)

// Reclaim writes lost certificates down as revoked, all or none: recorded
// without a certificate, as a spoiled serial is, so that each is on the next
// list and no answer about it is good or unknown. A serial that was reserved
// here and never recorded is spoiled. Errors: ErrSerialTaken for what is on
// record, ErrUnknownIssuer, ErrUnknownShard, certs.ErrReason, certs.ErrStatus.
func Reclaim(tx *ledger.Tx, lost ...Lost) error {
	recorded := map[certs.IssuerID]*certs.Recorded{}
	c := &changing{tx: tx}
	for i := range lost {
		l := &lost[i]
		inserted, err := reclaim(tx, l)
		if err != nil {
			return fmt.Errorf("reclaiming %s: %w", l.Ref, err)
		}
		if !inserted {
			continue
		}
		if recorded[l.Issuer] == nil {
			recorded[l.Issuer] = &certs.Recorded{Issuer: l.Issuer}
		}
		r := recorded[l.Issuer]
		r.Certificates = append(r.Certificates, certs.RecordedCertificate{Serial: l.Serial, NotAfter: l.NotAfter,
			Shard: l.Shard, Profile: lostProfile})
		status := certs.Status{State: certs.StateRevoked, Reason: l.Reason, At: wholeSecond(tx.Time()), Invalidity: wholeSecond(l.Invalidity)}
		c.collect(&row{ref: l.Ref, shard: l.Shard, end: l.NotAfter}, status)
	}
	for _, r := range recorded {
		for _, part := range r.Split() {
			tx.Append(journal.KindCertificatesRecorded, certs.RecordedVersion, part.Append(nil))
		}
	}
	if err := c.finish(); err != nil {
		return fmt.Errorf("reclaiming: %w", err)
	}
	return nil
}

// reclaim inserts the row; false when there was a reservation, which it spoils.
func reclaim(tx *ledger.Tx, l *Lost) (bool, error) {
	if err := certs.Revoked(l.Reason).Check(); err != nil {
		return false, err
	}
	shards, err := shardsOf(tx, l.Issuer)
	if err != nil {
		return false, err
	}
	if l.Shard >= shards {
		return false, fmt.Errorf("%w: %d of %d", ErrUnknownShard, l.Shard, shards)
	}
	var none [sha256.Size]byte
	// Nobody here knows when it began: 1970, which no certificate of ours can say.
	n, err := tx.Exec(`INSERT INTO certs_serial (issuer, serial, state, profile, holder, card, request, shard,
		key_digest, policy, tbs_hash, not_before, not_after, reserved, settled, why)
		VALUES ($1, $2, $3, $4, '', '', '', $5, $6, $7, $8, $9, $10, $11, $12, $13)
		ON CONFLICT (issuer, serial) DO NOTHING`,
		journal.Hash(l.Issuer), []byte(l.Serial), serialSpoiled, lostProfile, l.Shard,
		journal.Hash(none), journal.Hash(none), journal.Hash(none), time.Unix(0, 0), l.NotAfter, tx.Time(), tx.Time(), lostWhy)
	if err != nil || n > 0 {
		return n > 0, err
	}
	err = Spoil(tx, l.Ref, lostWhy)
	if errors.Is(err, ErrNotReserved) {
		return false, ErrSerialTaken
	}
	if err == nil && l.Reason == certs.ReasonKeyCompromise {
		err = SetStatus(tx, []certs.Ref{l.Ref}, certs.Status{State: certs.StateRevoked, Reason: l.Reason, Invalidity: l.Invalidity})
	}
	return false, err
}

// SettledUpTo counts the serials that were recorded or spoiled up to a moment.
func SettledUpTo(tx *ledger.Tx, moment time.Time) (int64, error) {
	var n int64
	err := tx.QueryRow(`SELECT COUNT(*) FROM certs_serial WHERE state <> $1 AND settled <= $2`, serialReserved, moment).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("counting certificates: %w", err)
	}
	return n, nil
}
