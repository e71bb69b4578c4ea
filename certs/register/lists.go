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

// Shard is the state of one list: of a shard, or with another Which of a list
// that is not about one shard. Changes counts every change of status so far
// among the certificates it is about, Listed how many of them List shows;
// Changed is when the last was made. List is the zero value before the first
// one, Entries how many it has, Based the ThisUpdate of the list a delta
// stands on.
type Shard struct {
	Issuer  certs.IssuerID
	Name    string // the issuer's
	Which   certs.ListName
	Shard   uint16
	Changes uint64
	Changed time.Time
	Listed  uint64
	List    certs.ListPublished
	Entries int64
	Based   time.Time
}

const publishedColumns = `l.changes, l.number, l.base, l.based, l.this_update, l.next_update, l.content, l.size,
	l.packed, l.packed_size, l.entries`

const shardQuery = `SELECT s.issuer, i.name, s.shard, s.changes, s.changed, ` + publishedColumns + `
	FROM certs_shard s JOIN certs_issuer i ON i.id = s.issuer
	LEFT JOIN certs_published l ON l.issuer = s.issuer AND l.kind = 0 AND l.shard = s.shard AND l.delta = 0`

// publishedRow is what publishedColumns scan into.
type publishedRow struct {
	listed, number, base, size, packedSize, entries sql.NullInt64
	based, thisUpdate, nextUpdate                   stamp
	content, packed                                 []byte
}

func (r *publishedRow) into(before ...any) []any {
	return append(before, &r.listed, &r.number, &r.base, &r.based, &r.thisUpdate, &r.nextUpdate, &r.content, &r.size,
		&r.packed, &r.packedSize, &r.entries)
}

// put fills in what a row has.
func (r *publishedRow) put(s *Shard) {
	s.Shard = s.Which.Shard
	if !r.number.Valid {
		return
	}
	s.Listed, s.Entries, s.Based = uint64(r.listed.Int64), r.entries.Int64, r.based.time()
	s.List = certs.ListPublished{Issuer: s.Issuer, Shard: s.Which.Shard, Kind: s.Which.Kind, Number: uint64(r.number.Int64), Base: uint64(r.base.Int64),
		ThisUpdate: r.thisUpdate.time(), NextUpdate: r.nextUpdate.time(), Size: r.size.Int64, PackedSize: r.packedSize.Int64}
	copy(s.List.Content[:], r.content)
	if s.List.PackedSize > 0 {
		copy(s.List.Packed[:], r.packed)
	}
}

func scanShard(from scanner) (Shard, error) {
	var s Shard
	var r publishedRow
	var issuer []byte
	var changed stamp
	err := from.Scan(r.into(&issuer, &s.Name, &s.Which.Shard, &s.Changes, &changed)...)
	copy(s.Issuer[:], issuer)
	s.Changed = changed.time()
	r.put(&s)
	return s, err
}

// Shards gives the state of every shard's complete list.
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

// Lists gives every list that was ever published, of every kind, by issuer.
// Changes and Changed are not filled in.
func Lists(tx *ledger.Tx) ([]Shard, error) {
	rows, err := tx.Query(`SELECT l.issuer, i.name, l.kind, l.shard, l.delta, ` + publishedColumns + `
		FROM certs_published l JOIN certs_issuer i ON i.id = l.issuer ORDER BY i.added, i.name, l.kind, l.shard, l.delta`)
	if err != nil {
		return nil, fmt.Errorf("reading the lists: %w", err)
	}
	defer rows.Close()
	var out []Shard
	for rows.Next() {
		var s Shard
		var r publishedRow
		var issuer []byte
		var delta int64
		if err := rows.Scan(r.into(&issuer, &s.Name, &s.Which.Kind, &s.Which.Shard, &delta)...); err != nil {
			return nil, fmt.Errorf("reading the lists: %w", err)
		}
		copy(s.Issuer[:], issuer)
		s.Which.Delta = delta != 0
		r.put(&s)
		out = append(out, s)
	}
	return out, rows.Err()
}

// LastList gives the state of one list; ErrUnknownShard.
func LastList(tx *ledger.Tx, issuer certs.IssuerID, which certs.ListName) (Shard, error) {
	s := Shard{Issuer: issuer, Which: which}
	err := s.count(tx)
	if err == nil {
		var r publishedRow
		err = tx.QueryRow(`SELECT `+publishedColumns+` FROM certs_published l WHERE l.issuer = $1 AND l.kind = $2 AND l.shard = $3 AND l.delta = $4`,
			journal.Hash(issuer), uint8(which.Kind), which.Shard, number(which.Delta)).Scan(r.into()...)
		r.put(&s)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
	}
	if err != nil {
		return s, fmt.Errorf("reading list %s: %w", which, err)
	}
	return s, nil
}

// count reads how often the certificates changed that the list is about.
func (s *Shard) count(tx *ledger.Tx) error {
	var changes sql.NullInt64
	var changed stamp
	from, to := s.Which.Shard, s.Which.Shard
	if s.Which.Kind != certs.ListShard {
		from, to = 0, 1<<16-1
	}
	err := tx.QueryRow(`SELECT i.name, CAST(SUM(s.changes) AS BIGINT), MAX(s.changed) FROM certs_issuer i JOIN certs_shard s ON s.issuer = i.id
		WHERE i.id = $1 AND s.shard >= $2 AND s.shard <= $3 GROUP BY i.name`, journal.Hash(s.Issuer), from, to).Scan(&s.Name, &changes, &changed)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrUnknownShard
	}
	s.Changes, s.Changed = uint64(changes.Int64), changed.time()
	return err
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
