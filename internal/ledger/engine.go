package ledger

import (
	"context"
	"database/sql"
	"time"

	"cardinal/internal/journal"
)

// engine is what differs between the databases.
type engine interface {
	// create makes the empty database where that is the ledger's business.
	create(ctx context.Context) error
	// pool opens connections; a pool for writing has one.
	pool(write, readOnly bool) (*sql.DB, error)
	// assertDurable reads back the settings that make a commit durable.
	assertDurable(ctx context.Context, c *conn) error
	// translate turns a migration into the engine's words, one statement each.
	translate(script string) []string
	// begin opens a write transaction, locks the head row and reads it and the database's clock. The clock is zero
	// where it is the host's own.
	begin(ctx context.Context, c *conn) (journal.Head, time.Time, error)
	// beginRead opens a transaction that sees one snapshot.
	beginRead(ctx context.Context, c *conn) error
	// flush runs statements whose results nobody needs, in order.
	flush(ctx context.Context, c *conn, statements []statement) error
	// append inserts changes into the journal.
	append(ctx context.Context, c *conn, changes []journal.Change) error
	// broken reports an error that says nothing about a statement, only about the connection.
	broken(err error) bool
	// columns names the columns of a table in order, with those of the primary key; collate is what makes text sort
	// by its bytes.
	tables(ctx context.Context, c *conn) ([]table, error)
}

// statement is one deferred write.
type statement struct {
	text string
	args []any
}

// table is a table of the database as Dump sees it.
type table struct {
	name    string
	columns []string
	kinds   []string // BIGINT, TEXT or BYTEA
	key     []int    // columns of the primary key
}

// schema is the ledger's own tables, as a room's.
func ownRoom() Room {
	return Room{Name: "ledger", Migrations: []string{`
CREATE TABLE ledger_head (
  id BIGINT PRIMARY KEY,
  epoch BIGINT NOT NULL,
  position BIGINT NOT NULL,
  link BYTEA NOT NULL,
  at BIGINT NOT NULL,
  quarantine BIGINT NOT NULL
);
CREATE TABLE ledger_journal (
  position BIGINT PRIMARY KEY,
  at BIGINT NOT NULL,
  kind BIGINT NOT NULL,
  version BIGINT NOT NULL,
  last BIGINT NOT NULL,
  salt BYTEA,
  body BYTEA,
  body_hash BYTEA NOT NULL,
  link BYTEA NOT NULL
);
CREATE TABLE ledger_content (
  hash BYTEA PRIMARY KEY,
  size BIGINT NOT NULL
);
CREATE TABLE ledger_content_part (
  hash BYTEA NOT NULL,
  part BIGINT NOT NULL,
  chunk BYTEA NOT NULL,
  PRIMARY KEY (hash, part)
);
CREATE TABLE ledger_chunk (
  hash BYTEA PRIMARY KEY,
  data BYTEA NOT NULL
);
`}}
}

const (
	selectHead = `SELECT epoch, position, link, at, quarantine FROM ledger_head WHERE id = 1`
	updateHead = `UPDATE ledger_head SET epoch = $1, position = $2, link = $3, at = $4, quarantine = $5 WHERE id = 1`
	insertHead = `INSERT INTO ledger_head (id, epoch, position, link, at, quarantine) VALUES (1, $1, $2, $3, $4, $5)`

	journalColumns = `position, at, kind, version, last, salt, body, body_hash, link`
)

type rowQuerier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func readHead(ctx context.Context, db rowQuerier) (journal.Head, error) {
	return scanHead(db.QueryRowContext(ctx, selectHead))
}

func scanHead(row interface{ Scan(...any) error }) (journal.Head, error) {
	var h journal.Head
	var link []byte
	var at int64
	if err := row.Scan(&h.Epoch, &h.Position, &link, &at, &h.Quarantine); err != nil {
		return h, err
	}
	copy(h.Link[:], link)
	h.Time = time.UnixMicro(at).UTC()
	return h, nil
}

func headArgs(h journal.Head) []any {
	quarantine := int64(0)
	if h.Quarantine {
		quarantine = 1
	}
	return []any{int64(h.Epoch), int64(h.Position), h.Link[:], h.Time.UnixMicro(), quarantine}
}

func changeArgs(c *journal.Change) []any {
	last := int64(0)
	if c.Last {
		last = 1
	}
	var salt, body any
	if !c.Erased {
		salt = c.Salt[:]
		body = append([]byte{}, c.Body...)
	}
	return []any{int64(c.Position), c.Time.UnixMicro(), int64(c.Kind), int64(c.Version), last, salt, body, c.BodyHash[:], c.Link[:]}
}
