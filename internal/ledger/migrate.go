package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cardinal/internal/journal"
)

// Room is a package that keeps tables of record in the ledger.
type Room struct {
	// Name is the room's, unique; "ledger" is taken.
	Name string
	// Migrations build the tables in order. A migration never changes once released; the room's version is their number.
	// The text is for both engines: CREATE TABLE and its like in capitals, columns of BIGINT, TEXT and BYTEA, statements
	// ended by semicolons, no semicolon within a literal. PRIMARY KEY CLUSTERED (…) asks for rows that lie in the order
	// of their key, where the engine has such tables: for small rows that are read in that order.
	Migrations []string
}

// SchemaError: a room's tables are of another version than the program wants.
type SchemaError struct {
	Room       string
	Have, Want int
}

// Error names the command that helps.
func (e *SchemaError) Error() string {
	if e.Have > e.Want {
		return fmt.Sprintf("the tables of %s are at version %d, newer than this program's %d: use the newer program", e.Room, e.Have, e.Want)
	}
	return fmt.Sprintf("the tables of %s are at version %d instead of %d: run `cardinal migrate --dir D`", e.Room, e.Have, e.Want)
}

func (o *Options) rooms() []Room { return append([]Room{ownRoom()}, o.Rooms...) }

// splitScript cuts a migration into statements and drops comment lines.
func splitScript(script string) []string {
	var text strings.Builder
	for line := range strings.Lines(script) {
		before, _, _ := strings.Cut(line, "--")
		text.WriteString(strings.TrimRight(before, " \t\n") + "\n")
	}
	var out []string
	for s := range strings.SplitSeq(text.String(), ";") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// unclustered takes the word CLUSTERED, which neither engine knows, out of a CREATE TABLE.
func unclustered(statement string) (string, bool) {
	const key = "PRIMARY KEY"
	return strings.Replace(statement, key+" CLUSTERED", key, 1), strings.Contains(statement, key+" CLUSTERED")
}

const (
	createVersions = `CREATE TABLE ledger_room (name TEXT PRIMARY KEY, version BIGINT NOT NULL)`
	upsertVersion  = `INSERT INTO ledger_room (name, version) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET version = excluded.version`
)

// builder makes or changes a ledger's tables while nobody has it open.
type builder struct {
	e       engine
	options Options
	db      *sql.DB
}

// open connects for writing, to a fresh database if asked for.
func (b *builder) open(ctx context.Context, fresh bool) (err error) {
	if fresh {
		if err := b.e.create(ctx); err != nil {
			return err
		}
	}
	b.db, err = b.e.pool(true, false)
	return err
}

// create makes all tables and the head of epoch 1, in one transaction.
func (b *builder) create(ctx context.Context) error {
	if err := b.open(ctx, true); err != nil {
		return err
	}
	defer b.db.Close()
	tx, err := b.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := b.migrate(ctx, tx, b.options.rooms()); err != nil {
		return err
	}
	first := head{Head: journal.Head{Epoch: 1, Time: b.options.Now().UTC()}}
	if _, err := tx.ExecContext(ctx, insertHead, first.args()...); err != nil {
		return err
	}
	return b.options.Faults.around("migrate", tx.Commit)
}

// begin opens the transaction that makes a new ledger's tables, with the table of versions. ErrExists if there is a
// ledger.
func (b *builder) begin(ctx context.Context) (*sql.Tx, error) {
	if err := checkPresent(ctx, b.e, b.db); err == nil {
		return nil, ErrExists
	} else if !errors.Is(err, ErrMissing) {
		return nil, err
	}
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, b.e.translate(createVersions)[0]); err != nil {
		tx.Rollback()
		return nil, fmt.Errorf("making the table of versions: %w", err)
	}
	return tx, nil
}

// migrate runs what the rooms' tables lack and says what it ran.
func (b *builder) migrate(ctx context.Context, tx *sql.Tx, rooms []Room) ([]string, error) {
	have, err := versions(ctx, tx)
	if err != nil {
		return nil, err
	}
	var ran []string
	for _, room := range rooms {
		for version := have[room.Name] + 1; version <= len(room.Migrations); version++ {
			if err := b.run(ctx, tx, room.Migrations[version-1]); err != nil {
				return nil, fmt.Errorf("migrating %s to version %d: %w", room.Name, version, err)
			}
			ran = append(ran, fmt.Sprintf("%s %d", room.Name, version))
		}
		if _, err := tx.ExecContext(ctx, upsertVersion, room.Name, len(room.Migrations)); err != nil {
			return nil, fmt.Errorf("recording the version of %s: %w", room.Name, err)
		}
	}
	return ran, nil
}

func (b *builder) run(ctx context.Context, tx *sql.Tx, script string) error {
	for _, s := range b.e.translate(script) {
		if _, err := tx.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// checkRooms refuses what only one engine, or only a fresh database, would take.
func checkRooms(rooms []Room) error {
	seen := map[string]bool{"ledger": true, unfinished: true, "": true}
	for _, room := range rooms {
		if seen[room.Name] {
			return fmt.Errorf("room %q: the name is taken", room.Name)
		}
		seen[room.Name] = true
		for i, script := range room.Migrations {
			if word := forbidden.FindString(script); word != "" {
				return fmt.Errorf("migration %d of room %s: %s is not for both engines or stands in the way of a restore", i+1, room.Name, word)
			}
		}
	}
	return nil
}

// forbidden words in migrations: types one engine alone knows, and foreign keys, which would fix the order of a restore.
var forbidden = regexp.MustCompile(`\b(REFERENCES|FOREIGN KEY|BIGSERIAL|SERIAL|AUTOINCREMENT|INTEGER|INT|BOOLEAN|BLOB|TIMESTAMP|TIMESTAMPTZ|VARCHAR|JSONB?|ROWID)\b`)

// checkPresent is ErrMissing where there is no ledger.
func checkPresent(ctx context.Context, e engine, db *sql.DB) error {
	var n int
	if err := db.QueryRowContext(ctx, e.countLedgers()).Scan(&n); err != nil {
		if e.fault(nil, err) == faultFull {
			err = fmt.Errorf("%w: %w", ErrFull, err)
		}
		return fmt.Errorf("looking for a ledger: %w", err)
	}
	if n == 0 {
		return ErrMissing
	}
	return nil
}

func versions(ctx context.Context, db interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}) (map[string]int, error) {
	rows, err := db.QueryContext(ctx, `SELECT name, version FROM ledger_room`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	have := map[string]int{}
	for rows.Next() {
		var name string
		var version int
		if err := rows.Scan(&name, &version); err != nil {
			return nil, err
		}
		have[name] = version
	}
	return have, rows.Err()
}

func checkVersions(ctx context.Context, db *sql.DB, rooms []Room) error {
	have, err := versions(ctx, db)
	if err != nil {
		return fmt.Errorf("reading the versions of the rooms: %w", err)
	}
	if err := checkNotNewer(rooms, have); err != nil {
		return err
	}
	for _, room := range rooms {
		if have[room.Name] != len(room.Migrations) {
			return &SchemaError{Room: room.Name, Have: have[room.Name], Want: len(room.Migrations)}
		}
	}
	return nil
}

// checkNotNewer refuses a database that knows more than this program, or less than a whole ledger.
func checkNotNewer(rooms []Room, have map[string]int) error {
	if _, ok := have[unfinished]; ok {
		return ErrUnfinished
	}
	want := map[string]int{}
	for _, room := range rooms {
		want[room.Name] = len(room.Migrations)
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if have[name] > want[name] {
			return &SchemaError{Room: name, Have: have[name], Want: want[name]}
		}
	}
	return nil
}

// Migrate brings an existing ledger's tables to the rooms' versions, in one transaction, and says what it ran
// ("certificates 2"). A room newer than the program is a *SchemaError.
func Migrate(ctx context.Context, o Options) ([]string, error) {
	e, err := o.prepare()
	if err != nil {
		return nil, err
	}
	b := &builder{e: e, options: o}
	if err := b.open(ctx, false); err != nil {
		return nil, fmt.Errorf("migrating: %w", err)
	}
	defer b.db.Close()
	ran, err := b.upgrade(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrating: %w", err)
	}
	return ran, nil
}

func (b *builder) upgrade(ctx context.Context) ([]string, error) {
	if err := checkPresent(ctx, b.e, b.db); err != nil {
		return nil, err
	}
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	have, err := versions(ctx, tx)
	if err != nil {
		return nil, err
	}
	if err := checkNotNewer(b.options.rooms(), have); err != nil {
		return nil, err
	}
	ran, err := b.migrate(ctx, tx, b.options.rooms())
	if err != nil {
		return nil, err
	}
	return ran, b.options.Faults.around("migrate", tx.Commit)
}
