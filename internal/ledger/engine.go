package ledger

import (
	"context"
	"database/sql"
	"time"

	"cardinal/internal/ledger/dump"
)

// engine is what differs between the databases.
type engine interface {
	// create makes the empty database where that is the ledger's business.
	create(ctx context.Context) error
	// pool opens connections, for writing or for reading.
	pool(write, readOnly bool) (*sql.DB, error)
	// assertDurable reads back the settings that make a commit durable.
	assertDurable(ctx context.Context, c *conn) error
	// countLedgers is a query for the number of ledgers in the database.
	countLedgers() string
	// translate turns a migration into the engine's words, one statement each.
	translate(script string) []string
	// limit is the context a group's statements run under.
	limit() (context.Context, context.CancelFunc)
	// begin opens a write transaction, locks the head row and reads it and the database's clock. The clock is zero
	// where it is the host's own.
	begin(ctx context.Context, c *conn) (head, time.Time, error)
	// beginRead opens a transaction that sees one snapshot.
	beginRead(ctx context.Context, c *conn) error
	// flush runs statements whose results nobody needs, in order.
	flush(ctx context.Context, c *conn, statements []statement) error
	// commit runs what the group deferred, inserts its changes, updates the head and commits. An unknownError when the
	// commit was asked for and not answered.
	commit(ctx context.Context, g *group) error
	// rollback ends the transaction, if there is one.
	rollback(ctx context.Context, c *conn) error
	// fault says what an error on this connection (nil: none could be opened) means.
	fault(c *conn, err error) fault
	// aside reports whether content can be stored without the head's lock.
	aside() bool
	// tables describes the tables of the database, sorted by name.
	tables(ctx context.Context, c *conn) ([]dump.Table, error)
}

// statement is one deferred write.
type statement struct {
	text string
	args []any
}

// ownRoom is the ledger's own tables, as a room's.
func ownRoom() Room {
	return Room{Name: "ledger", Migrations: []string{`
CREATE TABLE ledger_head (
  id BIGINT PRIMARY KEY,
  epoch BIGINT NOT NULL,
  position BIGINT NOT NULL,
  link BYTEA NOT NULL,
  at BIGINT NOT NULL,
  quarantine BIGINT NOT NULL,
  mark BYTEA NOT NULL
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
CREATE INDEX ledger_content_part_chunk ON ledger_content_part (chunk);
CREATE TABLE ledger_chunk (
  hash BYTEA PRIMARY KEY,
  at BIGINT NOT NULL,
  data BYTEA NOT NULL
);
`, looseTable}}
}
