package ledger

import (
	"errors"
	"time"

	"cardinal/internal/journal"
)

// The statements on this package's own rows, and how rows become values and back.
const (
	selectHead = `SELECT epoch, position, link, at, quarantine, mark FROM ledger_head WHERE id = 1`
	updateHead = `UPDATE ledger_head SET epoch = $1, position = $2, link = $3, at = $4, quarantine = $5, mark = $6 WHERE id = 1`
	insertHead = `INSERT INTO ledger_head (id, epoch, position, link, at, quarantine, mark) VALUES (1, $1, $2, $3, $4, $5, $6)`

	journalColumns = `position, at, kind, version, last, salt, body, body_hash, link`
	insertChange   = `INSERT INTO ledger_journal (` + journalColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	selectChanges  = `SELECT ` + journalColumns + ` FROM ledger_journal WHERE position > $1 ORDER BY position LIMIT $2`
	eraseChange    = `UPDATE ledger_journal SET salt = NULL, body = NULL WHERE position = $1`
)

// row is a row of either driver.
type row interface{ Scan(into ...any) error }

// head is the head row: the journal's head, and a mark that is another for each commit.
type head struct {
	journal.Head
	mark [16]byte
}

// scanHead reads a row of selectHead.
func scanHead(r row) (head, error) {
	var h head
	var link, mark []byte
	var epoch, position, at, quarantine int64
	if err := r.Scan(&epoch, &position, &link, &at, &quarantine, &mark); err != nil {
		return h, err
	}
	h.Head = journal.Head{Epoch: journal.Epoch(epoch), Position: journal.Position(position), Time: time.UnixMicro(at).UTC(), Quarantine: quarantine != 0}
	copy(h.Link[:], link)
	copy(h.mark[:], mark)
	return h, nil
}

func (h *head) args() []any {
	return []any{int64(h.Epoch), int64(h.Position), h.Link[:], h.Time.UnixMicro(), number(h.Quarantine), h.mark[:]}
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// changeRow is a row of journalColumns: five numbers, four byte strings. An erased change has neither salt nor body.
type changeRow struct {
	numbers [5]int64
	bytes   [4][]byte
}

func (r *changeRow) into() []any {
	out := make([]any, 0, 9)
	for i := range r.numbers {
		out = append(out, &r.numbers[i])
	}
	for i := range r.bytes {
		out = append(out, &r.bytes[i])
	}
	return out
}

func (r *changeRow) change() journal.Change {
	c := journal.Change{Position: journal.Position(r.numbers[0]), Time: time.UnixMicro(r.numbers[1]).UTC(), Kind: journal.Kind(r.numbers[2]),
		Version: uint8(r.numbers[3]), Last: r.numbers[4] != 0, Erased: r.bytes[0] == nil, Body: r.bytes[1]}
	copy(c.Salt[:], r.bytes[0])
	copy(c.BodyHash[:], r.bytes[2])
	copy(c.Link[:], r.bytes[3])
	return c
}

// changeFrom builds a change from the values of a dumped row.
func changeFrom(values []any) (journal.Change, error) {
	var r changeRow
	if len(values) != len(r.numbers)+len(r.bytes) {
		return journal.Change{}, errors.New("the journal has other columns")
	}
	for i := range r.numbers {
		n, ok := values[i].(int64)
		if !ok {
			return journal.Change{}, errors.New("a change lacks a number")
		}
		r.numbers[i] = n
	}
	for i := range r.bytes {
		r.bytes[i], _ = values[len(r.numbers)+i].([]byte)
	}
	return r.change(), nil
}

// changeArgs are the values of journalColumns.
func changeArgs(c *journal.Change) []any {
	var salt, body any
	if !c.Erased {
		salt, body = c.Salt[:], c.Body
		if c.Body == nil {
			body = []byte{}
		}
	}
	return []any{int64(c.Position), c.Time.UnixMicro(), int64(c.Kind), int64(c.Version), number(c.Last), salt, body, c.BodyHash[:], c.Link[:]}
}
