package register

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// Entry is one line of a list.
type Entry struct {
	Serial certs.Serial
	Status certs.Status
}

// Shard is the state of one shard's list. Changes counts every change of status
// so far, Listed how many of them List shows; Changed is when the last was
// made. List is the zero value before the first one.
type Shard struct {
	Issuer  certs.IssuerID
	Name    string
	Shard   uint16
	Changes uint64
	Changed time.Time
	Listed  uint64
	List    certs.ListPublished
}

const shardQuery = `SELECT s.issuer, i.name, s.shard, s.changes, s.changed,
	l.changes, l.number, l.this_update, l.next_update, l.content, l.size
	FROM certs_shard s JOIN certs_issuer i ON i.id = s.issuer
	LEFT JOIN certs_list l ON l.issuer = s.issuer AND l.shard = s.shard`

func scanShard(from scanner) (Shard, error) {
	var s Shard
	var issuer, content []byte
	var changed, thisUpdate, nextUpdate stamp
	var listed, number, size sql.NullInt64
	err := from.Scan(&issuer, &s.Name, &s.Shard, &s.Changes, &changed,
		&listed, &number, &thisUpdate, &nextUpdate, &content, &size)
	copy(s.Issuer[:], issuer)
	s.Changed = changed.time()
	if number.Valid {
		s.Listed = uint64(listed.Int64)
		s.List = certs.ListPublished{Issuer: s.Issuer, Shard: s.Shard, Number: uint64(number.Int64),
			ThisUpdate: thisUpdate.time(), NextUpdate: nextUpdate.time(), Size: size.Int64}
		copy(s.List.Content[:], content)
	}
	return s, err
}

// Shards gives the state of every list.
func Shards(tx *ledger.Tx) ([]Shard, error) {
	rows, err := tx.Query(shardQuery + ` ORDER BY s.issuer, s.shard`)
	if err != nil {
		return nil, fmt.Errorf("reading the shards: %w", err)
	}
	defer rows.Close()
	var out []Shard
	for rows.Next() {
		s, err := scanShard(rows)
		if err != nil {
			return nil, fmt.Errorf("reading the shards: %w", err)
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// LastList gives the state of one list; ErrUnknownShard.
func LastList(tx *ledger.Tx, issuer certs.IssuerID, shard uint16) (Shard, error) {
	s, err := scanShard(tx.QueryRow(shardQuery+` WHERE s.issuer = $1 AND s.shard = $2`, journal.Hash(issuer), shard))
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrUnknownShard
	}
	if err != nil {
		return s, fmt.Errorf("reading the list of shard %d: %w", shard, err)
	}
	return s, nil
}

// Revoked gives fn, ordered by serial, every entry the shard's next list must
// hold: what is held or revoked and has not ended, and what has ended but was
// not yet on a list made after its end (RFC 5280 §3.3). While it runs the
// transaction can do nothing else; an error of fn ends it and is returned.
func Revoked(tx *ledger.Tx, issuer certs.IssuerID, shard uint16, fn func(Entry) error) error {
	var last stamp
	err := tx.QueryRow(`SELECT this_update FROM certs_list WHERE issuer = $1 AND shard = $2`,
		journal.Hash(issuer), shard).Scan(&last)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("reading the revoked of shard %d: %w", shard, err)
	}
	since := int64(0)
	if last.micro != nil {
		since = *last.micro
	}
	rows, err := tx.Query(`SELECT serial, status, reason, revoked, invalidity FROM certs_serial
		WHERE issuer = $1 AND shard = $2 AND status <> 0 AND (not_after >= $3 OR changed >= $3) ORDER BY serial`,
		journal.Hash(issuer), shard, since)
	if err != nil {
		return fmt.Errorf("reading the revoked of shard %d: %w", shard, err)
	}
	defer rows.Close()
	for rows.Next() {
		var serial []byte
		var revoked, invalidity stamp
		var e Entry
		if err := rows.Scan(&serial, &e.Status.State, &e.Status.Reason, &revoked, &invalidity); err != nil {
			return fmt.Errorf("reading the revoked of shard %d: %w", shard, err)
		}
		e.Serial, e.Status.At, e.Status.Invalidity = certs.Serial(serial), revoked.time(), invalidity.time()
		if err := fn(e); err != nil {
			return err
		}
	}
	return rows.Err()
}

// RecordList makes a list the shard's last and announces it. listed is the
// Changes of the shard in the snapshot the list was made from. ErrListOvertaken
// unless the number is greater than every one before and the list is not older.
func RecordList(tx *ledger.Tx, list certs.ListPublished, listed uint64) error {
	last, err := LastList(tx, list.Issuer, list.Shard)
	if err != nil {
		return fmt.Errorf("recording list %d: %w", list.Number, err)
	}
	if list.Number <= last.List.Number || list.ThisUpdate.Before(last.List.ThisUpdate) || listed < last.Listed {
		return fmt.Errorf("recording list %d after %d: %w", list.Number, last.List.Number, ErrListOvertaken)
	}
	tx.Defer(`INSERT INTO certs_list (issuer, shard, number, this_update, next_update, content, size, changes)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (issuer, shard) DO UPDATE SET number = excluded.number, this_update = excluded.this_update,
		next_update = excluded.next_update, content = excluded.content, size = excluded.size, changes = excluded.changes`,
		journal.Hash(list.Issuer), list.Shard, list.Number, list.ThisUpdate, list.NextUpdate, list.Content, list.Size, listed)
	tx.Append(journal.KindListPublished, certs.ListPublishedVersion, list.Append(nil))
	return nil
}
