package ledger

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"cardinal/internal/journal"
	"cardinal/internal/ledger/dump"
)

// unfinished is a room that exists while a restore is under way.
const unfinished = "unfinished restore"

// ErrUnfinished: a restore into this database did not end; it holds part of a ledger and must be thrown away.
var ErrUnfinished = errors.New("a restore into this ledger did not finish: start again with an empty one")

// Restore makes a new ledger from a dump, on either engine, and opens it: chain and contents checked, the epoch raised
// above the dump's and above Options.EpochAbove, in quarantine. A dump of older rooms is migrated; of newer ones it is a
// *SchemaError. ErrExists if there is a ledger, dump.ErrDamaged for what is not a whole dump; then what was made stays
// and is ErrUnfinished to whoever opens it.
func Restore(ctx context.Context, o Options, r io.Reader) (*Ledger, error) {
	e, err := o.prepare()
	if err != nil {
		return nil, err
	}
	if err := restore(ctx, &builder{e: e, options: o}, r); err != nil {
		return nil, fmt.Errorf("restoring the ledger: %w", err)
	}
	return Open(ctx, o)
}

func restore(ctx context.Context, b *builder, r io.Reader) error {
	in, err := dump.NewReader(r)
	if err != nil {
		return err
	}
	if err := checkNotNewer(b.options.rooms(), in.Rooms()); err != nil {
		return err
	}
	if err := b.open(ctx, true); err != nil {
		return err
	}
	defer b.db.Close()
	if err := b.prepareRestore(ctx, in.Rooms()); err != nil {
		return err
	}
	c, err := newConn(ctx, b.db)
	if err != nil {
		return err
	}
	defer c.close()
	tables, err := b.e.tables(ctx, c)
	if err != nil {
		return err
	}
	load := &loader{tables: tables, put: func(rows []statement) error { return putRows(ctx, b.e, c, rows) }}
	if err := load.all(in); err != nil {
		return err
	}
	return b.finishRestore(ctx, c, load.chain)
}

// prepareRestore makes the tables as the dump has them and marks the database unfinished.
func (b *builder) prepareRestore(ctx context.Context, have map[string]int) error {
	tx, err := b.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	rooms := b.options.rooms()
	for i, room := range rooms {
		rooms[i].Migrations = room.Migrations[:have[room.Name]]
	}
	if _, err := b.migrate(ctx, tx, rooms); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO ledger_room (name, version) VALUES ($1, 0)`, unfinished); err != nil {
		return err
	}
	return tx.Commit()
}

// finishRestore migrates to the program's versions, opens the new epoch and takes the mark away, in one transaction.
func (b *builder) finishRestore(ctx context.Context, c *conn, chain journal.Verifier) error {
	tx, err := c.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := b.migrate(ctx, tx, b.options.rooms()); err != nil {
		return err
	}
	h, err := scanHead(tx.QueryRowContext(ctx, selectHead))
	if err != nil {
		return fmt.Errorf("reading the restored head: %w", err)
	}
	if h.Position != chain.Position || h.Link != chain.Link {
		return fmt.Errorf("%w: the head stands at position %d, its journal ends at %d", dump.ErrDamaged, h.Position, chain.Position)
	}
	change := h.restored(max(h.Epoch, b.options.EpochAbove)+1, b.options.Now())
	for _, s := range []statement{
		{insertChange, changeArgs(&change)},
		{updateHead, h.args()},
		{`DELETE FROM ledger_room WHERE name = $1`, []any{unfinished}},
	} {
		if _, err := tx.ExecContext(ctx, s.text, s.args...); err != nil {
			return err
		}
	}
	return b.options.Faults.around("restore", tx.Commit)
}

// restored moves the head into a new epoch, in quarantine, and returns the change that says so.
func (h *head) restored(epoch journal.Epoch, now time.Time) journal.Change {
	began := journal.EpochBegan{Epoch: epoch, Reason: "restore", Previous: h.Epoch, PreviousTime: h.Time}
	at := now.UTC().Truncate(time.Microsecond)
	if at.Before(h.Time) {
		at = h.Time
	}
	c := journal.Change{Position: h.Position + 1, Time: at, Kind: journal.KindEpochBegan, Version: 1, Last: true, Body: began.Append(nil)}
	c.Seal(h.Link)
	h.Head = journal.Head{Epoch: epoch, Position: c.Position, Link: c.Link, Time: at, Quarantine: true}
	rand.Read(h.mark[:])
	return c
}

// loader puts the rows of a dump into tables, some hundred a commit, and checks what can be checked.
type loader struct {
	tables []dump.Table
	put    func(rows []statement) error
	into   *dump.Table
	text   string
	waits  []statement
	size   int
	chain  journal.Verifier
}

// all loads every record up to the end.
func (l *loader) all(in *dump.Reader) error {
	for {
		record, err := in.Next()
		switch {
		case errors.Is(err, io.EOF):
			return l.send()
		case err != nil:
			return err
		case record.Table != nil:
			err = l.begin(record.Table)
		default:
			err = l.row(record.Values)
		}
		if err != nil {
			return err
		}
	}
}

// begin finds the table a dump's table goes into; the columns must be the same.
func (l *loader) begin(t *dump.Table) error {
	if err := l.send(); err != nil {
		return err
	}
	i := slices.IndexFunc(l.tables, func(have dump.Table) bool { return have.Name == t.Name })
	if i < 0 {
		return fmt.Errorf("%w: table %q belongs to no room", dump.ErrDamaged, t.Name)
	}
	l.into = &l.tables[i]
	same := func(a, b dump.Column) bool { return a.Name == b.Name && a.Kind == b.Kind }
	if !slices.EqualFunc(l.into.Columns, t.Columns, same) {
		return fmt.Errorf("%w: table %s has other columns than here", dump.ErrDamaged, t.Name)
	}
	l.text = insertInto(l.into)
	return nil
}

func (l *loader) row(values []any) error {
	if err := l.check(values); err != nil {
		return fmt.Errorf("%w: %w", dump.ErrDamaged, err)
	}
	for _, v := range values {
		b, _ := v.([]byte)
		s, _ := v.(string)
		l.size += len(b) + len(s)
	}
	l.waits = append(l.waits, statement{l.text, values})
	if len(l.waits) >= restoreRows || l.size >= restoreBytes {
		return l.send()
	}
	return nil
}

// check verifies the journal's chain, and that a chunk of content is what its name says.
func (l *loader) check(values []any) error {
	switch l.into.Name {
	case "ledger_journal":
		c, err := changeFrom(values)
		if err != nil {
			return err
		}
		return l.chain.Next(&c)
	case "ledger_chunk":
		name, _ := values[0].([]byte)
		data, _ := values[2].([]byte)
		if sum := sha256.Sum256(data); !bytes.Equal(name, sum[:]) {
			return fmt.Errorf("content chunk %x does not match its hash", name)
		}
	}
	return nil
}

// send writes the rows that wait.
func (l *loader) send() error {
	if len(l.waits) == 0 {
		return nil
	}
	if err := l.put(l.waits); err != nil {
		return fmt.Errorf("writing to %s: %w", l.into.Name, err)
	}
	l.waits, l.size = l.waits[:0], 0
	return nil
}

// putRows runs inserts in a transaction of their own.
func putRows(ctx context.Context, e engine, c *conn, rows []statement) error {
	if _, err := c.exec(ctx, "BEGIN"); err != nil {
		return err
	}
	if err := e.flush(ctx, c, rows); err != nil {
		return err
	}
	_, err := c.exec(ctx, "COMMIT")
	return err
}
