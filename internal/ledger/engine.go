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
	// pool opens connections, for writing or for reading.
	pool(write, readOnly bool) (*sql.DB, error)
	// assertDurable reads back the settings that make a commit durable.
	assertDurable(ctx context.Context, c *conn) error
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
	tables(ctx context.Context, c *conn) ([]table, error)
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
CREATE TABLE ledger_chunk (
  hash BYTEA PRIMARY KEY,
  at BIGINT NOT NULL,
  data BYTEA NOT NULL
);
`}}
}

const (
	selectHead = `SELECT epoch, position, link, at, quarantine, mark FROM ledger_head WHERE id = 1`
	updateHead = `UPDATE ledger_head SET epoch = $1, position = $2, link = $3, at = $4, quarantine = $5, mark = $6 WHERE id = 1`
	insertHead = `INSERT INTO ledger_head (id, epoch, position, link, at, quarantine, mark) VALUES (1, $1, $2, $3, $4, $5, $6)`

	insertChange = `INSERT INTO ledger_journal (` + journalColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`

	journalColumns = `position, at, kind, version, last, salt, body, body_hash, link`
)

// scanHead reads a row of selectHead, from either driver.
func scanHead(row interface{ Scan(...any) error }) (head, error) {
	var h head
	var link, mark []byte
	var epoch, position, at, quarantine int64
	if err := row.Scan(&epoch, &position, &link, &at, &quarantine, &mark); err != nil {
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
