package register

import (
	"database/sql"
	"fmt"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// MadeList is a list to be recorded. Listed is Changes of its state in the
// snapshot it was made from, Entries how many it has, Based the ThisUpdate of
// the list it stands on, if it is a delta.
type MadeList struct {
	certs.ListPublished
	Listed  uint64
	Entries int64
	Based   time.Time
}

// LastNumber is the highest number any list had that shares its numbers with
// which: a complete list and its deltas do (RFC 5280 §5.2.3), and so do all
// that are about every certificate of the issuer.
func LastNumber(tx *ledger.Tx, issuer certs.IssuerID, which certs.ListName) (uint64, error) {
	query := `SELECT MAX(number) FROM certs_published WHERE issuer = $1 AND kind <> $2`
	args := []any{journal.Hash(issuer), uint8(certs.ListShard)}
	if which.Kind == certs.ListShard {
		query, args = `SELECT MAX(number) FROM certs_published WHERE issuer = $1 AND kind = $2 AND shard = $3`, append(args, which.Shard)
	}
	var last sql.NullInt64
	if err := tx.QueryRow(query, args...).Scan(&last); err != nil {
		return 0, fmt.Errorf("reading the last number of list %s: %w", which, err)
	}
	return uint64(last.Int64), nil
}

// RecordLists makes lists the last of their names and announces them, all or
// none. Those that share their numbers have the same one. ErrListOvertaken
// unless it is greater than every one before and no list is older than the one
// it replaces. What they replace may be dropped later (DropPast).
func RecordLists(tx *ledger.Tx, lists ...MadeList) error {
	for i := range lists {
		if err := mayFollow(tx, &lists[i]); err != nil {
			return fmt.Errorf("recording list %d of %s: %w", lists[i].Number, lists[i].Name(), err)
		}
	}
	for i := range lists {
		announce(tx, &lists[i])
	}
	return nil
}

func mayFollow(tx *ledger.Tx, list *MadeList) error {
	last, err := LastList(tx, list.Issuer, list.Name())
	if err != nil {
		return err
	}
	highest, err := LastNumber(tx, list.Issuer, list.Name())
	if err != nil {
		return err
	}
	if list.Number <= highest || list.ThisUpdate.Before(last.List.ThisUpdate) || list.Listed < last.Listed {
		return fmt.Errorf("after %d: %w", highest, ErrListOvertaken)
	}
	return nil
}

func announce(tx *ledger.Tx, list *MadeList) {
	name := list.Name()
	key := []any{journal.Hash(list.Issuer), uint8(name.Kind), name.Shard, number(name.Delta)}
	const replaced = `INSERT INTO certs_list_past (content, at) SELECT %s, CAST($5 AS BIGINT) FROM certs_published
		WHERE issuer = $1 AND kind = $2 AND shard = $3 AND delta = $4 ON CONFLICT (content) DO UPDATE SET at = excluded.at`
	for _, column := range []string{"content", "packed"} {
		tx.Defer(fmt.Sprintf(replaced, column), append(key[:4:4], tx.Time().UnixMicro())...)
	}
	var based any
	if name.Delta {
		based = list.Based
	}
	tx.Defer(`INSERT INTO certs_published (issuer, kind, shard, delta, number, base, based, this_update, next_update, content, size, packed, packed_size, entries, changes)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
		ON CONFLICT (issuer, kind, shard, delta) DO UPDATE SET number = excluded.number, base = excluded.base, based = excluded.based,
		this_update = excluded.this_update, next_update = excluded.next_update, content = excluded.content, size = excluded.size,
		packed = excluded.packed, packed_size = excluded.packed_size, entries = excluded.entries, changes = excluded.changes`,
		append(key[:4:4], list.Number, list.Base, based, list.ThisUpdate, list.NextUpdate, list.Content, list.Size,
			list.Packed, list.PackedSize, list.Entries, list.Listed)...)
	tx.Append(journal.KindListPublished, list.Version(), list.Append(nil))
}

// DropPast drops the contents of at most limit lists that were replaced before
// a time, and reports how many it looked at. A follower fetches the newest list
// alone, so only one that began to fetch before that time misses anything, and
// it asks again.
func DropPast(tx *ledger.Tx, before time.Time, limit int) (int, error) {
	rows, err := tx.Query(`SELECT p.content FROM certs_list_past p WHERE p.at < $1 AND NOT EXISTS
		(SELECT 1 FROM certs_published l WHERE l.content = p.content OR l.packed = p.content) ORDER BY p.at LIMIT $2`, before, limit)
	if err != nil {
		return 0, fmt.Errorf("looking for replaced lists: %w", err)
	}
	defer rows.Close()
	var past []journal.Hash
	for rows.Next() {
		var raw []byte
		if err := rows.Scan(&raw); err != nil {
			return 0, fmt.Errorf("looking for replaced lists: %w", err)
		}
		past = append(past, journal.Hash(raw))
	}
	if err := rows.Err(); err != nil {
		return 0, fmt.Errorf("looking for replaced lists: %w", err)
	}
	rows.Close()
	for _, h := range past {
		if _, err := tx.DropContent(h); err != nil {
			return 0, fmt.Errorf("dropping replaced lists: %w", err)
		}
		tx.Defer(`DELETE FROM certs_list_past WHERE content = $1`, h)
	}
	return len(past), nil
}

// Forget has contents dropped later that were stored for lists which were then
// not recorded.
func Forget(tx *ledger.Tx, contents ...journal.Hash) {
	for _, h := range contents {
		tx.Defer(`INSERT INTO certs_list_past (content, at) VALUES ($1, $2) ON CONFLICT (content) DO NOTHING`, h, tx.Time())
	}
}

// ForgetUnpublished is Forget for every loose content that is no list's: what a
// process left that ended between storing a list and recording it.
func ForgetUnpublished(tx *ledger.Tx) error {
	loose, err := tx.LooseContents()
	if err != nil {
		return fmt.Errorf("looking for lists nobody announced: %w", err)
	}
	known := map[journal.Hash]bool{}
	lists, err := Lists(tx)
	if err != nil {
		return err
	}
	for i := range lists {
		known[lists[i].List.Content], known[lists[i].List.Packed] = true, true
	}
	for _, h := range loose {
		if !known[h] {
			Forget(tx, h)
		}
	}
	return nil
}
