package register

import (
	"database/sql"
	"fmt"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// Entry is one line of a list. In a delta a good status says that the
// certificate was released, At the moment of it.
type Entry struct {
	Serial certs.Serial
	Status certs.Status
}

// Entries are told shard by shard and within one by serial: each is put on the
// lists in this order.
const (
	entryColumns = `SELECT serial, status * 256 + reason, revoked, invalidity`
	entryOrder   = ` ORDER BY shard, serial`
)

// Revoked gives fn, ordered by serial within its shard, every entry the next
// complete list must hold: what is held or revoked and has not ended, and what
// has ended but was not yet on such a list made after its end (RFC 5280 §3.3).
// While it runs the transaction can do nothing else; an error of fn ends it
// and is returned.
func Revoked(tx *ledger.Tx, issuer certs.IssuerID, which certs.ListName, fn func(Entry) error) error {
	last, err := LastList(tx, issuer, which)
	if err != nil {
		return err
	}
	since := micro(last.List.ThisUpdate)
	if which.Kind == certs.ListShard {
		return walk(tx, fn, entryColumns+` FROM certs_serial WHERE issuer = $1 AND shard = $2 AND status <> 0
			AND (not_after >= $3 OR changed >= $3)`+entryOrder, journal.Hash(issuer), which.Shard, since)
	}
	return walk(tx, fn, entryColumns+` FROM certs_serial WHERE issuer = $1 AND status <> 0
		AND (not_after >= $2 OR changed >= $2)`+entryOrder, journal.Hash(issuer), since)
}

// Archived gives fn in the same order every certificate of an issuer that is
// held or revoked and had not ended at since.
func Archived(tx *ledger.Tx, issuer certs.IssuerID, since time.Time, fn func(Entry) error) error {
	return walk(tx, fn, entryColumns+` FROM certs_serial WHERE issuer = $1 AND status <> 0 AND not_after >= $2`+entryOrder,
		journal.Hash(issuer), micro(since))
}

// Since names the certificates a list of an issuer is about, from a moment on.
type Since struct {
	Issuer certs.IssuerID
	Which  certs.ListName
	At     time.Time
}

// Changed gives fn in the same order every certificate whose status changed
// since then, released ones too: what a delta that stands on a list of that
// moment must hold (RFC 5280 §5.2.4, which has it name what was held and
// released in between).
func Changed(tx *ledger.Tx, since Since, fn func(Entry) error) error {
	const columns = `SELECT serial, status * 256 + reason, CASE WHEN status = 0 THEN changed ELSE revoked END, invalidity`
	if since.Which.Kind == certs.ListShard {
		return walk(tx, fn, columns+` FROM certs_serial WHERE issuer = $1 AND changed >= $2 AND shard = $3`+entryOrder,
			journal.Hash(since.Issuer), micro(since.At), since.Which.Shard)
	}
	return walk(tx, fn, columns+` FROM certs_serial WHERE issuer = $1 AND changed >= $2`+entryOrder, journal.Hash(since.Issuer), micro(since.At))
}

func micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// walk runs over entryColumns. Values are scanned into any, which database/sql
// hands over as they are: a million rows cost a third of what typed scanning
// takes.
func walk(tx *ledger.Tx, fn func(Entry) error, query string, args ...any) error {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return fmt.Errorf("reading the revoked: %w", err)
	}
	defer rows.Close()
	var serial sql.RawBytes
	var status, revoked, invalidity any
	into := []any{&serial, &status, &revoked, &invalidity}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return fmt.Errorf("reading the revoked: %w", err)
		}
		code, ok := status.(int64)
		if !ok {
			return fmt.Errorf("reading the revoked: a status of type %T", status)
		}
		e := Entry{Serial: certs.Serial(serial), Status: certs.Status{State: certs.State(code >> 8), Reason: certs.Reason(code & 0xff)}}
		e.Status.At, e.Status.Invalidity = timeOf(revoked), timeOf(invalidity)
		if err := fn(e); err != nil {
			return err
		}
	}
	return rows.Err()
}

// timeOf reads a nullable time as a row holds it.
func timeOf(v any) time.Time {
	if n, ok := v.(int64); ok {
		return time.UnixMicro(n).UTC()
	}
	return time.Time{}
}

// Plausible bounds the entries of the next complete list by counting, apart
// from the walk that makes it: what must be on it, and what may be because its
// certificate has ended.
func Plausible(tx *ledger.Tx, issuer certs.IssuerID, which certs.ListName) (must, may int64, err error) {
	query := `SELECT COUNT(*), CAST(COALESCE(SUM(CASE WHEN not_after >= $2 THEN 1 ELSE 0 END), 0) AS BIGINT) FROM certs_serial WHERE issuer = $1 AND status <> 0`
	args := []any{journal.Hash(issuer), tx.Time()}
	if which.Kind == certs.ListShard {
		query, args = query+` AND shard = $3`, append(args, which.Shard)
	}
	var all int64
	if err := tx.QueryRow(query, args...).Scan(&all, &must); err != nil {
		return 0, 0, fmt.Errorf("counting the revoked: %w", err)
	}
	return must, all - must, nil
}
