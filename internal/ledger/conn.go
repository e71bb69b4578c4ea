package ledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"time"

	"cardinal/internal/journal"
)

// conn is one database connection with its prepared statements, used by one goroutine at a time.
type conn struct {
	*sql.Conn
	statements map[string]prepared
	places     bool // its driver wants ? for $1
}

func newConn(ctx context.Context, db *sql.DB) (*conn, error) {
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	return &conn{Conn: c, statements: map[string]prepared{}, places: namesPlaces(db)}, nil
}

// unreachable says that it was the connection that failed, unless the caller gave up.
func unreachable(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrUnreachable) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

func (c *conn) prepare(ctx context.Context, text string) (prepared, error) {
	if p, ok := c.statements[text]; ok {
		return p, nil
	}
	if len(c.statements) >= maxStatements {
		c.forget()
	}
	var p prepared
	said := text
	if c.places {
		said, p.order = placed(text)
	}
	var err error
	if p.Stmt, err = c.Conn.PrepareContext(ctx, said); err != nil {
		return p, err
	}
	c.statements[text] = p
	return p, nil
}

func (c *conn) forget() {
	for _, s := range c.statements {
		s.Stmt.Close()
	}
	clear(c.statements)
}

func (c *conn) exec(ctx context.Context, text string, args ...any) (int64, error) {
	s, err := c.prepare(ctx, text)
	if err != nil {
		return 0, err
	}
	result, err := s.ExecContext(ctx, s.arguments(args)...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (c *conn) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	s, err := c.prepare(ctx, text)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, s.arguments(args)...)
}

// queryRow reports a statement that cannot be prepared through the row.
func (c *conn) queryRow(ctx context.Context, text string, args ...any) *sql.Row {
	s, err := c.prepare(ctx, text)
	if err != nil {
		return refusedRow(c, err)
	}
	return s.QueryRowContext(ctx, s.arguments(args)...)
}

// close gives the connection back to its pool.
func (c *conn) close() {
	c.forget()
	c.Conn.Close()
}

// discard closes the connection itself: nobody knows what state it is in. database/sql does not close the statements
// prepared on a sql.Conn with it, and SQLite keeps a connection, with its locks, for as long as one of them lives.
func (c *conn) discard() {
	c.forget()
	c.Conn.Raw(func(any) error { return driver.ErrBadConn })
	c.Conn.Close()
}

// values turns arguments into what both drivers store alike: int64, string, []byte, nil. Booleans become 0 or 1, times
// microseconds (the zero time NULL), hashes and other byte arrays their bytes, nil slices and pointers NULL.
func values(args []any) ([]any, error) {
	out := make([]any, len(args))
	for i, arg := range args {
		v, err := value(arg)
		if err != nil {
			return nil, fmt.Errorf("argument $%d: %w", i+1, err)
		}
		out[i] = v
	}
	return out, nil
}

func value(arg any) (any, error) {
	switch v := arg.(type) {
	case nil, int64, string:
		return v, nil
	case []byte:
		if v == nil {
			return nil, nil
		}
		return v, nil
	case bool:
		if v {
			return int64(1), nil
		}
		return int64(0), nil
	case time.Time:
		if v.IsZero() {
			return nil, nil
		}
		return v.UnixMicro(), nil
	case journal.Hash:
		return v[:], nil
	case driver.Valuer:
		inner, err := v.Value()
		if err != nil {
			return nil, err
		}
		if _, again := inner.(driver.Valuer); again {
			return nil, fmt.Errorf("a %T gives another driver.Valuer", arg)
		}
		return value(inner)
	}
	return reflected(reflect.ValueOf(arg))
}

// reflected handles the named types of rooms by what they are made of.
func reflected(v reflect.Value) (any, error) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil, nil
		}
		return value(v.Elem().Interface())
	case reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b := make([]byte, v.Len())
			reflect.Copy(reflect.ValueOf(b), v)
			return b, nil
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return value(v.Bytes())
		}
	case reflect.Bool:
		return value(v.Bool())
	}
	return driver.DefaultParameterConverter.ConvertValue(v.Interface())
}
