package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"cardinal/internal/ledger/dump"
)

// sqliteEngine is a file. Its clock is the host's.
type sqliteEngine struct{ path string }

// create makes the file, readable by its owner alone; the files SQLite puts beside it take the same rights.
func (e sqliteEngine) create(context.Context) error {
	f, err := os.OpenFile(e.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s: %w", e.path, ErrExists)
	}
	if err != nil {
		return err
	}
	return f.Close()
}

func (e sqliteEngine) countLedgers() string {
	return `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'ledger_room'`
}

func (e sqliteEngine) pool(write, readOnly bool) (*sql.DB, error) {
	if _, err := os.Stat(e.path); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", e.path, ErrMissing)
	} else if err != nil {
		return nil, err
	}
	mode, pragmas := "rw", []string{"busy_timeout(10000)"}
	switch {
	case write:
		// The cache: many cards at once touch the indexes of all certificates anywhere. The store: what would undo a
		// statement of many rows goes to a file of its own for each such statement, otherwise.
		pragmas = append(pragmas, "cache_size(-65536)", "temp_store(MEMORY)", "journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(2000)",
			"journal_size_limit(67108864)")
	case readOnly:
		mode = "ro"
		pragmas = append(pragmas, "query_only(1)")
	default:
		pragmas = append(pragmas, "query_only(1)")
	}
	escape := strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23")
	db, err := sql.Open("sqlite", "file:"+escape.Replace(e.path)+"?mode="+mode+"&_pragma="+strings.Join(pragmas, "&_pragma="))
	if err != nil {
		return nil, err
	}
	if write {
		db.SetMaxOpenConns(1)
	} else {
		db.SetMaxOpenConns(openReaders)
		db.SetMaxIdleConns(-1) // the ledger keeps them itself, with their statements
	}
	return db, nil
}

func (e sqliteEngine) assertDurable(ctx context.Context, c *conn) error {
	var mode string
	var synchronous int
	if err := c.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if err := c.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous); err != nil {
		return err
	}
	if mode != "wal" || synchronous != 2 {
		return fmt.Errorf("%s: journal_mode is %s and synchronous %d instead of wal and 2 (FULL)", e.path, mode, synchronous)
	}
	return nil
}

// translate makes every table STRICT, so that SQLite refuses what PostgreSQL would refuse, and turns a BIGINT primary
// key into the row's own number. A table CLUSTERED by its primary key is that key's tree, without another.
func (e sqliteEngine) translate(script string) []string {
	words := regexp.MustCompile(`\b(BIGINT|BYTEA)\b`)
	var out []string
	for _, s := range splitScript(script) {
		s = words.ReplaceAllStringFunc(s, func(w string) string {
			return map[string]string{"BIGINT": "INTEGER", "BYTEA": "BLOB"}[w]
		})
		if strings.HasPrefix(strings.ToUpper(s), "CREATE TABLE") {
			var is bool
			if s, is = unclustered(s); is {
				s += " WITHOUT ROWID,"
			}
			s += " STRICT"
		}
		out = append(out, s)
	}
	return out
}

func (e sqliteEngine) limit() (context.Context, context.CancelFunc) {
	return context.Background(), func() {} // a context that can end costs a goroutine a statement
}

func (e sqliteEngine) aside() bool { return false }

func (e sqliteEngine) begin(ctx context.Context, c *conn) (head, time.Time, error) {
	if _, err := c.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return head{}, time.Time{}, err
	}
	h, err := scanHead(c.queryRow(ctx, selectHead))
	return h, time.Time{}, err
}

func (e sqliteEngine) beginRead(ctx context.Context, c *conn) error {
	_, err := c.exec(ctx, "BEGIN")
	return err
}

func (e sqliteEngine) flush(ctx context.Context, c *conn, statements []statement) error {
	for _, s := range statements {
		if _, err := c.exec(ctx, s.text, s.args...); err != nil {
			return err
		}
	}
	return nil
}

func (e sqliteEngine) commit(ctx context.Context, g *group) error {
	if err := e.flush(ctx, g.conn, g.pending); err != nil {
		return err
	}
	for i := range g.changes {
		if _, err := g.conn.exec(ctx, `INSERT INTO ledger_journal (`+journalColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			changeArgs(&g.changes[i])...); err != nil {
			return err
		}
	}
	if _, err := g.conn.exec(ctx, updateHead, g.head.args()...); err != nil {
		return err
	}
	_, err := g.conn.exec(ctx, "COMMIT")
	if err != nil && e.fault(g.conn, err) == faultUnsure {
		return unknownError{err}
	}
	return err
}

// rollback also succeeds when SQLite has rolled back by itself, as it does when the disk is full.
func (e sqliteEngine) rollback(ctx context.Context, c *conn) error {
	c.exec(ctx, "ROLLBACK")
	_, err := c.exec(ctx, "BEGIN")
	if err == nil {
		_, err = c.exec(ctx, "ROLLBACK")
	}
	return err
}

func (e sqliteEngine) fault(_ *conn, err error) fault {
	var failed *sqlite.Error
	if errors.As(err, &failed) {
		if failed.Code() == sqlite3.SQLITE_IOERR_SHMSIZE { // the index of the write-ahead log, made before anything is written
			return faultFull
		}
		switch failed.Code() & 0xff {
		case sqlite3.SQLITE_FULL:
			return faultFull
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
			return faultFinal
		case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_NOMEM:
			return faultUnsure
		}
	}
	return faultOf(err)
}

func (e sqliteEngine) tables(ctx context.Context, c *conn) ([]dump.Table, error) {
	rows, err := c.QueryContext(ctx, `SELECT s.name, i.name, i.type, i.pk FROM sqlite_schema s, pragma_table_info(s.name) i
		WHERE s.type = 'table' AND s.name NOT LIKE 'sqlite%' ORDER BY s.name, i.cid`)
	if err != nil {
		return nil, err
	}
	return describeTables(rows, map[string]string{"INTEGER": "BIGINT", "TEXT": "TEXT", "BLOB": "BYTEA"})
}
