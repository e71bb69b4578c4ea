package ledger

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"cardinal/internal/journal"
)

const (
	// maxRecord bounds a record of a dump: a chunk of content and room for its columns, or a large row.
	maxRecord = 64 << 20
	// restoreRows and restoreBytes bound what is sent to the database at a time.
	restoreRows  = 500
	restoreBytes = 4 << 20
	// unfinished is a room that exists while a restore is under way.
	unfinished = "unfinished restore"
)

var (
	// ErrBadDump: this is no dump, or not a whole and unchanged one.
	ErrBadDump = errors.New("the dump is damaged")
	// ErrUnfinished: a restore into this database did not end; it holds part of a ledger and must be thrown away.
	ErrUnfinished = errors.New("a restore into this ledger did not finish: start again with an empty one")
)

// Restore makes a new ledger from a dump, on either engine, and opens it: chain and contents checked, the epoch raised
// above the dump's and above Options.EpochAbove, in quarantine. A dump of older rooms is migrated; of newer ones it is a
// *SchemaError. ErrExists if there is a ledger, ErrBadDump for what is not a whole dump.
func Restore(ctx context.Context, o Options, r io.Reader) (*Ledger, error) {
	e, err := o.prepare()
	if err != nil {
		return nil, err
	}
	if err := restore(ctx, e, o, r); err != nil {
		return nil, fmt.Errorf("restoring the ledger: %w", err)
	}
	return Open(ctx, o)
}

// restoredChange is a row of ledger_journal, whose columns stand in the order of journalColumns.
func restoredChange(values []any) (journal.Change, error) {
	var c journal.Change
	if len(values) != 9 {
		return c, errors.New("the journal has other columns")
	}
	var numbers [5]int64
	for i := range numbers {
		n, ok := values[i].(int64)
		if !ok {
			return c, errors.New("a change without a number")
		}
		numbers[i] = n
	}
	salt, _ := values[5].([]byte)
	body, _ := values[6].([]byte)
	hash, _ := values[7].([]byte)
	link, _ := values[8].([]byte)
	return changeOf(numbers, salt, body, hash, link), nil
}

func restore(ctx context.Context, e engine, o Options, r io.Reader) error {
	in := &dumpReader{in: bufio.NewReaderSize(r, 1<<16), sum: sha256.New()}
	have, err := in.begin()
	if err != nil {
		return err
	}
	if err := checkNotNewer(o.rooms(), have); err != nil {
		return err
	}
	if err := e.create(ctx); err != nil {
		return err
	}
	db, err := e.pool(true, false)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := prepareRestore(ctx, e, o, db, have); err != nil {
		return err
	}
	c, err := newConn(ctx, db)
	if err != nil {
		return err
	}
	defer c.close()
	tables, err := e.tables(ctx, c)
	if err != nil {
		return err
	}
	load := &loader{e: e, c: c, ctx: ctx, tables: tables}
	if err := load.all(in); err != nil {
		return err
	}
	return finishRestore(ctx, e, o, c, load)
}

// prepareRestore makes the tables as the dump has them and marks the database unfinished.
func prepareRestore(ctx context.Context, e engine, o Options, db *sql.DB, have map[string]int) error {
	rooms := o.rooms()
	for i, room := range rooms {
		rooms[i].Migrations = room.Migrations[:have[room.Name]]
	}
	tx, err := beginCreate(ctx, e, db)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := migrate(ctx, e, tx, rooms, map[string]int{}); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO ledger_room (name, version) VALUES ($1, 0)`, unfinished); err != nil {
		return err
	}
	return tx.Commit()
}

// finishRestore migrates to the program's versions, opens the new epoch and takes the mark away, in one transaction.
func finishRestore(ctx context.Context, e engine, o Options, c *conn, load *loader) error {
	tx, err := c.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	have, err := versions(ctx, tx)
	if err != nil {
		return err
	}
	if _, err := migrate(ctx, e, tx, o.rooms(), have); err != nil {
		return err
	}
	h, err := scanHead(tx.QueryRowContext(ctx, selectHead))
	if err != nil {
		return fmt.Errorf("reading the restored head: %w", err)
	}
	if h.Position != load.chain.Position || h.Link != load.chain.Link {
		return fmt.Errorf("%w: the head stands at position %d, its journal ends at %d", ErrBadDump, h.Position, load.chain.Position)
	}
	began := journal.EpochBegan{Epoch: max(h.Epoch, o.EpochAbove) + 1, Reason: "restore", Previous: h.Epoch, PreviousTime: h.Time}
	change := journal.Change{Position: h.Position + 1, Time: h.Time, Kind: journal.KindEpochBegan, Version: 1, Last: true, Body: began.Append(nil)}
	if now := o.Now().UTC(); now.After(h.Time) {
		change.Time = now.Truncate(1000)
	}
	change.Seal(h.Link)
	h.Head = journal.Head{Epoch: began.Epoch, Position: change.Position, Link: change.Link, Time: change.Time, Quarantine: true}
	rand.Read(h.mark[:])
	for _, s := range []statement{
		{insertChange, changeArgs(&change)},
		{updateHead, h.args()},
		{`DELETE FROM ledger_room WHERE name = $1`, []any{unfinished}},
	} {
		if _, err := tx.ExecContext(ctx, s.text, s.args...); err != nil {
			return err
		}
	}
	return o.Faults.around("restore", tx.Commit)
}

// loader puts the rows of a dump into tables, some thousand a commit, and checks what can be checked.
type loader struct {
	e      engine
	c      *conn
	ctx    context.Context
	tables []table
	into   *table
	text   string
	waits  []statement
	size   int
	chain  journal.Verifier
}

// all loads every record up to the end.
func (l *loader) all(in *dumpReader) error {
	for {
		kind, d, err := in.next()
		if err != nil {
			return err
		}
		switch kind {
		case recordTable:
			err = l.table(d)
		case recordRow:
			err = l.row(d)
		case recordEnd:
			return l.send()
		default:
			d.Fail("a record where none may stand")
			err = d.Err()
		}
		if err != nil {
			return fmt.Errorf("%w: record %d: %w", ErrBadDump, in.records, err)
		}
	}
}

func (l *loader) table(d *journal.Decoder) error {
	if err := l.send(); err != nil {
		return err
	}
	name := d.String()
	l.into = nil
	for i := range l.tables {
		if l.tables[i].name == name {
			l.into = &l.tables[i]
		}
	}
	if l.into == nil {
		return fmt.Errorf("table %q belongs to no room", name)
	}
	if n := d.Count(2); n != len(l.into.columns) {
		return fmt.Errorf("table %s has %d columns, here %d", name, n, len(l.into.columns))
	}
	for _, c := range l.into.columns {
		if n, kind := d.String(), d.String(); n != c.name || kind != c.kind {
			return fmt.Errorf("table %s has a column %q %s, here %s %s", name, n, kind, c.name, c.kind)
		}
	}
	l.text = l.into.insert()
	return d.End()
}

func (l *loader) row(d *journal.Decoder) error {
	if l.into == nil {
		return errors.New("a row before its table")
	}
	l.size += len(d.Rest())
	values := make([]any, len(l.into.columns))
	for i := range values {
		values[i] = dumpedValue(d)
	}
	if err := d.End(); err != nil {
		return err
	}
	if err := l.check(values); err != nil {
		return err
	}
	l.waits = append(l.waits, statement{l.text, values})
	if len(l.waits) >= restoreRows || l.size >= restoreBytes {
		return l.send()
	}
	return nil
}

// dumpedValue reads one value, as a copy.
func dumpedValue(d *journal.Decoder) any {
	kind := d.Fixed(1)
	if kind == nil {
		return nil
	}
	switch kind[0] {
	case valueNull:
		return nil
	case valueInt:
		zigzag := d.Uint()
		return int64(zigzag>>1) ^ -int64(zigzag&1)
	case valueText:
		return d.String()
	case valueBytes:
		return append([]byte{}, d.Bytes()...)
	}
	d.Fail("unknown type of value")
	return nil
}

// check verifies the journal's chain, and that a chunk of content is what its name says.
func (l *loader) check(values []any) error {
	switch l.into.name {
	case "ledger_journal":
		c, err := restoredChange(values)
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

// send runs what waits in a transaction of its own.
func (l *loader) send() error {
	if len(l.waits) == 0 {
		return nil
	}
	if _, err := l.c.exec(l.ctx, "BEGIN"); err != nil {
		return err
	}
	if err := l.e.flush(l.ctx, l.c, l.waits); err != nil {
		return fmt.Errorf("writing to %s: %w", l.into.name, err)
	}
	if _, err := l.c.exec(l.ctx, "COMMIT"); err != nil {
		return err
	}
	l.waits, l.size = l.waits[:0], 0
	return nil
}

// dumpReader reads records and keeps their hash.
type dumpReader struct {
	in      *bufio.Reader
	sum     hash.Hash
	records int
	held    []byte // the record after the rooms
}

// begin reads the first line and the rooms.
func (r *dumpReader) begin() (map[string]int, error) {
	magic := make([]byte, len(dumpMagic))
	if _, err := io.ReadFull(r.in, magic); err != nil || string(magic) != dumpMagic {
		return nil, fmt.Errorf("%w: it does not begin as one", ErrBadDump)
	}
	r.sum.Write(magic)
	have := map[string]int{}
	for {
		body, err := r.read()
		if err != nil {
			return nil, err
		}
		if body[0] != recordRoom {
			r.held = body
			return have, nil
		}
		d := journal.NewDecoder(body[1:])
		name, version := d.String(), d.UintMax(1<<16)
		if err := d.End(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadDump, err)
		}
		have[name] = int(version)
	}
}

// next is the next record's kind and what follows it. The end's hash has been compared.
func (r *dumpReader) next() (byte, *journal.Decoder, error) {
	body := r.held
	r.held = nil
	if body == nil {
		var err error
		if body, err = r.read(); err != nil {
			return 0, nil, err
		}
	}
	if body[0] == recordEnd {
		if _, err := r.in.ReadByte(); !errors.Is(err, io.EOF) {
			return 0, nil, fmt.Errorf("%w: something follows its end", ErrBadDump)
		}
	}
	return body[0], journal.NewDecoder(body[1:]), nil
}

// read reads one record, never more than there is. The record that ends the dump is compared with the hash so far.
func (r *dumpReader) read() ([]byte, error) {
	length, err := binary.ReadUvarint(r.in)
	if err != nil || length == 0 || length > maxRecord {
		return nil, fmt.Errorf("%w: cut off after record %d", ErrBadDump, r.records)
	}
	var body bytes.Buffer
	if _, err := io.CopyN(&body, r.in, int64(length)); err != nil {
		return nil, fmt.Errorf("%w: cut off after record %d", ErrBadDump, r.records)
	}
	r.records++
	b := body.Bytes()
	if b[0] == recordEnd {
		if !bytes.Equal(b[1:], r.sum.Sum(nil)) {
			return nil, fmt.Errorf("%w: its checksum differs", ErrBadDump)
		}
		return b, nil
	}
	r.sum.Write(binary.AppendUvarint(nil, length))
	r.sum.Write(b)
	return b, nil
}
