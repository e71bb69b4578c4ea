package ledger

import (
	"fmt"

	"cardinal/internal/journal"
)

// Span is the changes behind After up to To.
type Span struct{ After, To journal.Position }

// Since gives the changes that were appended after a head which another transaction saw, oldest first, so that what was
// read there can be relied on here where nothing of it was changed. Those of own, which the caller knows, are left out.
// False: there are more than most, or the journal does not have that head (any more), and nothing is known.
func (tx *Tx) Since(head journal.Head, own Span, most int) (changes []journal.Change, known bool, err error) {
	switch {
	case head.Position > tx.head.Position || head.Epoch != tx.head.Epoch:
		return nil, false, nil
	case head.Position == tx.head.Position:
		return nil, head.Link == tx.head.Link, nil
	}
	rows, err := tx.Query(`SELECT `+journalColumns+` FROM ledger_journal WHERE position >= $1 AND (position <= $2 OR position > $3)
		ORDER BY position LIMIT $4`, head.Position, max(own.After, head.Position), own.To, most+2)
	if err != nil {
		return nil, false, fmt.Errorf("reading what was appended since %d: %w", head.Position, err)
	}
	defer rows.Close()
	for rows.Next() {
		var row changeRow
		if err := rows.Scan(row.into()...); err != nil {
			return nil, false, fmt.Errorf("reading what was appended since %d: %w", head.Position, err)
		}
		changes = append(changes, row.change())
	}
	if err := rows.Err(); err != nil {
		return nil, false, fmt.Errorf("reading what was appended since %d: %w", head.Position, err)
	}
	if tx.group != nil { // of those before it in this commit, which are not stored yet
		changes = append(changes, tx.group.changes...)
	}
	if len(changes) == 0 || len(changes) > most+1 || changes[0].Position != head.Position || changes[0].Link != head.Link {
		return nil, false, nil
	}
	return changes[1:], true, nil
}
