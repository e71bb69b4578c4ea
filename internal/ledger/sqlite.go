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

	_ "modernc.org/sqlite" // the driver "sqlite"

	"cardinal/internal/journal"
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

func (e sqliteEngine) pool(write, readOnly bool) (*sql.DB, error) {
	mode, pragmas := "rw", []string{"busy_timeout(10000)", "cache_size(-16384)"}
	switch {
	case write:
		pragmas = append(pragmas, "journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(2000)",
			"journal_size_limit(67108864)", "foreign_keys(1)")
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
		db.SetMaxOpenConns(8)
		db.SetMaxIdleConns(8)
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
// key into the row's own number.
func (e sqliteEngine) translate(script string) []string {
	words := regexp.MustCompile(`\b(BIGINT|BYTEA)\b`)
	var out []string
	for _, s := range splitScript(script) {
		s = words.ReplaceAllStringFunc(s, func(w string) string {
			return map[string]string{"BIGINT": "INTEGER", "BYTEA": "BLOB"}[w]
		})
		if strings.HasPrefix(s, "CREATE TABLE") {
			s += " STRICT"
		}
		out = append(out, s)
	}
	return out
}

func (e sqliteEngine) begin(ctx context.Context, c *conn) (journal.Head, time.Time, error) {
	if _, err := c.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return journal.Head{}, time.Time{}, err
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

func (e sqliteEngine) append(ctx context.Context, c *conn, changes []journal.Change) error {
	for i := range changes {
		if _, err := c.exec(ctx, `INSERT INTO ledger_journal (`+journalColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			changeArgs(&changes[i])...); err != nil {
			return err
		}
	}
	return nil
}

func (e sqliteEngine) broken(error) bool { return false }

func (e sqliteEngine) tables(ctx context.Context, c *conn) ([]table, error) {
	return nil, errors.New("not built yet")
}
