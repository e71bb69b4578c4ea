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
)

// postgresEngine is a database of its own on a PostgreSQL server, 13 or later.
type postgresEngine struct{ url string }

func (e postgresEngine) create(context.Context) error { return nil }

func (e postgresEngine) pool(write, readOnly bool) (*sql.DB, error) {
	config, err := pgx.ParseConfig(e.url)
	if err != nil {
		return nil, err
	}
	if !write {
		config.RuntimeParams["default_transaction_read_only"] = "on"
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	if write {
		db.SetMaxOpenConns(1)
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
		out = append(out, text.ReplaceAllString(s, `TEXT COLLATE "C"`))
	}
	return out
}

// begin takes the clock after the lock is held, in the same round trip.
func (e postgresEngine) begin(ctx context.Context, c *conn) (journal.Head, time.Time, error) {
	var h journal.Head
	var clock time.Time
	err := e.raw(c, func(pc *pgx.Conn) error {
		b := &pgx.Batch{}
		b.Queue("BEGIN")
		b.Queue(selectHead + " FOR UPDATE").QueryRow(func(row pgx.Row) (err error) {
			var link []byte
			var epoch, position, at, quarantine int64
			if err := row.Scan(&epoch, &position, &link, &at, &quarantine); err != nil {
				return err
			}
			h = journal.Head{Epoch: journal.Epoch(epoch), Position: journal.Position(position), Time: time.UnixMicro(at).UTC(), Quarantine: quarantine != 0}
			copy(h.Link[:], link)
			return nil
		})
		b.Queue("SELECT clock_timestamp()").QueryRow(func(row pgx.Row) error { return row.Scan(&clock) })
		return pc.SendBatch(ctx, b).Close()
	})
	return h, clock, err
}

func (e postgresEngine) beginRead(ctx context.Context, c *conn) error {
	_, err := c.ExecContext(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	return err
}

func (e postgresEngine) raw(c *conn, fn func(pc *pgx.Conn) error) error {
	return c.Raw(func(driverConn any) error { return fn(driverConn.(*stdlib.Conn).Conn()) })
}

func (e postgresEngine) flush(ctx context.Context, c *conn, statements []statement) error {
	if len(statements) == 0 {
		return nil
	}
	return e.raw(c, func(pc *pgx.Conn) error {
		b := &pgx.Batch{}
		for _, s := range statements {
			b.Queue(s.text, s.args...)
		}
		return pc.SendBatch(ctx, b).Close()
	})
}

func (e postgresEngine) append(ctx context.Context, c *conn, changes []journal.Change) error {
	statements := make([]statement, 0, len(changes))
	for i := range changes {
		statements = append(statements, statement{
			`INSERT INTO ledger_journal (` + journalColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, changeArgs(&changes[i])})
	}
	return e.flush(ctx, c, statements)
}

// broken: whatever the server did not say itself came from the connection; classes 57P and 08 end it.
func (e postgresEngine) broken(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return len(pg.Code) == 5 && (pg.Code[:3] == "57P" || pg.Code[:2] == "08")
	}
	return true
}

func (e postgresEngine) tables(ctx context.Context, c *conn) ([]table, error) {
	return nil, errors.New("not built yet")
}
