package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"cardinal/internal/journal"
	"cardinal/internal/ledger/dump"
)

// postgresEngine is a database of its own on a PostgreSQL server, 13 or later.
type postgresEngine struct{ url string }

func (e postgresEngine) create(context.Context) error { return nil }

func (e postgresEngine) countLedgers() string {
	return `SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'ledger_room'`
}

func (e postgresEngine) pool(write, readOnly bool) (*sql.DB, error) {
	config, err := pgx.ParseConfig(e.url)
	if err != nil {
		return nil, err
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "cardinal"
	}
	var options []stdlib.OptionOpenDB
	if !write {
		// Not a parameter of the connection: target_session_attrs=read-write would then refuse every server.
		options = append(options, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, "SET default_transaction_read_only = on")
			return err
		}))
	}
	db := stdlib.OpenDB(*config, options...)
	db.SetMaxOpenConns(openReaders)
	db.SetMaxIdleConns(-1) // the ledger keeps them itself, with their statements
	if write {
		db.SetMaxOpenConns(3) // the committer's, and two for content
	}
	return db, nil
}

func (e postgresEngine) assertDurable(ctx context.Context, c *conn) error {
	var fsync, commit string
	if err := c.QueryRowContext(ctx, "SELECT current_setting('fsync'), current_setting('synchronous_commit')").Scan(&fsync, &commit); err != nil {
		return err
	}
	if fsync != "on" || commit == "off" {
		return fmt.Errorf("PostgreSQL runs with fsync=%s and synchronous_commit=%s: a commit is not durable", fsync, commit)
	}
	return nil
}

// translate makes text sort by its bytes, as it does in SQLite.
func (e postgresEngine) translate(script string) []string {
	text := regexp.MustCompile(`\bTEXT\b`)
	var out []string
	for _, s := range splitScript(script) {
		s, _ = unclustered(s)
		out = append(out, text.ReplaceAllString(s, `TEXT COLLATE "C"`))
	}
	return out
}

// limit ends the statements of a group that hangs on a silent network.
func (e postgresEngine) limit() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), groupLimit)
}

func (e postgresEngine) aside() bool { return true }

// begin takes the clock after the lock is held, in the same round trip.
func (e postgresEngine) begin(ctx context.Context, c *conn) (h head, clock time.Time, err error) {
	err = e.raw(c, func(pc *pgx.Conn) error {
		b := &pgx.Batch{}
		b.Queue("BEGIN")
		b.Queue(selectHead + " FOR UPDATE").QueryRow(func(row pgx.Row) (err error) {
			h, err = scanHead(row)
			return err
		})
		b.Queue("SELECT clock_timestamp()").QueryRow(func(row pgx.Row) error { return row.Scan(&clock) })
		return pc.SendBatch(ctx, b).Close()
	})
	return h, clock, err
}

func (e postgresEngine) beginRead(ctx context.Context, c *conn) error {
	_, err := c.exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	return err
}

func (e postgresEngine) raw(c *conn, fn func(pc *pgx.Conn) error) error {
	return c.Raw(func(driverConn any) error { return fn(driverConn.(*stdlib.Conn).Conn()) })
}

func (e postgresEngine) flush(ctx context.Context, c *conn, statements []statement) error {
	return e.raw(c, func(pc *pgx.Conn) error {
		b := &pgx.Batch{}
		for _, s := range statements {
			b.Queue(s.text, s.args...)
		}
		return pc.SendBatch(ctx, b).Close()
	})
}

const insertChanges = `INSERT INTO ledger_journal (` + journalColumns + `)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[], $7::bytea[], $8::bytea[], $9::bytea[])`

// columnsOf turns rows of changeArgs into one array a column.
func columnsOf(changes []journal.Change) []any {
	var numbers [5][]int64
	var bytes [4][][]byte
	for i := range changes {
		for k, v := range changeArgs(&changes[i]) {
			switch v := v.(type) {
			case int64:
				numbers[k] = append(numbers[k], v)
			case []byte:
				bytes[k-len(numbers)] = append(bytes[k-len(numbers)], v)
			case nil:
				bytes[k-len(numbers)] = append(bytes[k-len(numbers)], nil)
			}
		}
	}
	return []any{numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], bytes[0], bytes[1], bytes[2], bytes[3]}
}

// commit sends everything in one go. The server skips what follows a failed statement, COMMIT too.
func (e postgresEngine) commit(ctx context.Context, g *group) error {
	committed := false
	err := e.raw(g.conn, func(pc *pgx.Conn) error {
		b := &pgx.Batch{}
		for _, s := range g.pending {
			b.Queue(s.text, s.args...)
		}
		if len(g.changes) > 0 {
			b.Queue(insertChanges, columnsOf(g.changes)...)
		}
		b.Queue(updateHead, g.head.args()...)
		b.Queue("COMMIT").Exec(func(tag pgconn.CommandTag) error {
			committed = tag.String() == "COMMIT" // ROLLBACK when the transaction had failed before
			return nil
		})
		return pc.SendBatch(ctx, b).Close()
	})
	switch {
	case err == nil && !committed:
		return errors.New("the transaction had failed before its commit")
	case err != nil && e.closed(g.conn):
		return unknownError{err}
	}
	return err
}

func (e postgresEngine) rollback(ctx context.Context, c *conn) error {
	_, err := c.exec(ctx, "ROLLBACK")
	return err
}

func (e postgresEngine) closed(c *conn) bool {
	if c == nil {
		return true
	}
	closed := true
	e.raw(c, func(pc *pgx.Conn) error {
		closed = pc.IsClosed()
		return nil
	})
	return closed
}

func (e postgresEngine) fault(c *conn, err error) fault {
	var failed *pgconn.PgError
	meaning := faultOf(err)
	switch {
	case meaning != faultStatement:
		return meaning
	case errors.Is(err, context.DeadlineExceeded):
		return faultFinal
	case errors.As(err, &failed) && failed.Code == pgDiskFull:
		return faultFull
	case e.closed(c):
		return faultConnection
	}
	return faultStatement
}

// pgDiskFull is SQLSTATE disk_full.
const pgDiskFull = "53100"

func (e postgresEngine) tables(ctx context.Context, c *conn) ([]dump.Table, error) {
	rows, err := c.QueryContext(ctx, `SELECT t.relname, a.attname, format_type(a.atttypid, NULL), coalesce(array_position(i.indkey::int[], a.attnum::int) + 1, 0)
		FROM pg_class t
		JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN pg_index i ON i.indrelid = t.oid AND i.indisprimary
		WHERE t.relkind = 'r' AND t.relnamespace = current_schema()::regnamespace
		ORDER BY t.relname COLLATE "C", a.attnum`)
	if err != nil {
		return nil, err
	}
	return describeTables(rows, map[string]string{"bigint": "BIGINT", "text": "TEXT", "bytea": "BYTEA"})
}
