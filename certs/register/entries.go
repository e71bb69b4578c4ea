package register

import (
	"database/sql"
	"fmt"
	"time"

	"cardinal/certs"
	"cardinal/internal/ledger"
)

// Entry is one line of a list. In a delta a good status says that the
// certificate was released, At the moment of it.
type Entry struct {
	Serial certs.Serial
	Status certs.Status
}

// Revoked gives fn, ordered by serial within its shard, every entry the next
// complete list must hold: what is held or revoked and has not ended, and what
// has ended but was not yet on such a list made after its end (RFC 5280 §3.3).
// While it runs the transaction can do nothing else; an error of fn ends it
// and is returned.
func Revoked(tx *ledger.Tx, issuer certs.IssuerID, which certs.ListName, fn func(Entry) error) error {
	last, err := LastList(tx, issuer, which)
	if err != nil {
		return err
	}
	w := &walking{tx: tx, issuer: issuer, since: last.List.ThisUpdate, late: true}
	if which.Kind == certs.ListShard {
		w.shard = &which.Shard
	}
	return w.walk(fn)
}

// Archived gives fn in the same order every certificate of an issuer that is
// held or revoked and had not ended at since.
func Archived(tx *ledger.Tx, issuer certs.IssuerID, since time.Time, fn func(Entry) error) error {
	return (&walking{tx: tx, issuer: issuer, since: since}).walk(fn)
}

// Since names the certificates a list of an issuer is about, from a moment on.
type Since struct {
	Issuer certs.IssuerID
	Which  certs.ListName
	At     time.Time
}

// Changed gives fn in the same order every certificate whose status changed
// since then, released ones too: what a delta that stands on a list of that
// moment must hold (RFC 5280 §5.2.4, which has it name what was held and
// released in between).
func Changed(tx *ledger.Tx, since Since, fn func(Entry) error) error {
	w := &walking{tx: tx, issuer: since.Issuer, since: since.At, changed: true}
	if since.Which.Kind == certs.ListShard {
		w.shard = &since.Which.Shard
	}
	return w.walk(fn)
}

func micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// walking goes through rows and runs side by side. It is about what is not good
// and ends at since or later, or was also changed then (late); or about
// everything that was changed then (changed).
type walking struct {
	tx            *ledger.Tx
	issuer        certs.IssuerID
	shard         *uint16 // nil: all
	since         time.Time
	late, changed bool

	runs []run
}

// where is the condition on rows, or with another column for the end on runs.
// The plus keeps SQLite from going through the whole shard instead of what was
// changed.
func (w *walking) where(end string, number int64) (string, []any) {
	args := []any{number, micro(w.since)}
	text, shard := ` WHERE issuer = $1 AND changed >= $2`, ` AND +shard = $3`
	if !w.changed {
		text, shard = ` WHERE issuer = $1 AND status <> 0 AND (`+end+` >= $2`, ` AND shard = $3`
		if w.late {
			text += ` OR changed >= $2`
		}
		text += `)`
	}
	if w.shard != nil {
		text, args = text+shard, append(args, *w.shard)
	}
	return text, args
}

// order begins the order of rows and runs, without giving SQLite a reason to go
// through all that an issuer has rather than sort what was changed.
func (w *walking) order() string {
	if w.changed {
		return ` ORDER BY +shard, `
	}
	return ` ORDER BY shard, `
}

func (w *walking) walk(fn func(Entry) error) error {
	number, err := numberOf(w.tx, w.issuer)
	if err != nil {
		return fmt.Errorf("reading the revoked: %w", err)
	}
	text, args := w.where("last_end", number)
	order := w.order()
	if w.runs, err = runs(w.tx, text+order+`lowest`, args...); err != nil {
		return err
	}
	text, args = w.where("not_after", number)
	return w.merge(fn, rowsWalked+text+order+`serial`, args...)
}

const rowsWalked = `SELECT shard, serial, status * 256 + reason, revoked, invalidity, changed FROM certs_status`

// merge runs over the rows. Values are scanned into any, which database/sql
// hands over as they are: a million rows cost a third of what typed scanning
// takes.
func (w *walking) merge(fn func(Entry) error, query string, args ...any) error {
	rows, err := w.tx.Query(query, args...)
	if err != nil {
		return fmt.Errorf("reading the revoked: %w", err)
	}
	defer rows.Close()
	var serial sql.RawBytes
	var shard, status, revoked, invalidity, changed any
	into := []any{&shard, &serial, &status, &revoked, &invalidity, &changed}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return fmt.Errorf("reading the revoked: %w", err)
		}
		is, err := standingFrom(status, revoked, invalidity)
		if err != nil {
			return err
		}
		of, _ := shard.(int64)
		if len(w.runs) > 0 { // a serial is in one of both; were it not, the row counts
			if err := w.upTo(uint16(of), certs.Serial(serial), fn); err != nil {
				return err
			}
		}
		if err := fn(entryOf(certs.Serial(serial), standing{is, timeOf(changed)})); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading the revoked: %w", err)
	}
	return w.upTo(1<<16-1, lastSerial, fn)
}

// lastSerial is behind every other.
const lastSerial = certs.Serial("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")

// upTo tells what the runs have before a serial of a shard, and skips it.
func (w *walking) upTo(shard uint16, serial certs.Serial, fn func(Entry) error) error {
	for len(w.runs) > 0 && w.runs[0].shard <= shard {
		r := &w.runs[0]
		n, there := len(r.entries), false
		if r.shard == shard {
			n, there = search(r.entries, serial)
		}
		for _, e := range r.entries[:n] {
			if !w.changed && micro(e.end) < micro(w.since) && !(w.late && micro(r.changed) >= micro(w.since)) {
				continue
			}
			if err := fn(entryOf(e.serial, r.standing)); err != nil {
				return err
			}
		}
		if there {
			n++
		}
		if r.entries = r.entries[n:]; len(r.entries) > 0 {
			return nil
		}
		w.runs = w.runs[1:]
	}
	return nil
}

// entryOf is what a list says; of a good certificate it says since when.
func entryOf(serial certs.Serial, is standing) Entry {
	if is.status.State == certs.StateGood {
		is.status.At = is.changed
	}
	return Entry{serial, is.status}
}

// standingFrom reads a status as walk's columns have it.
func standingFrom(status, revoked, invalidity any) (certs.Status, error) {
	code, ok := status.(int64)
	if !ok {
		return certs.Status{}, fmt.Errorf("reading the revoked: a status of type %T", status)
	}
	return certs.Status{State: certs.State(code >> 8), Reason: certs.Reason(code & 0xff), At: timeOf(revoked), Invalidity: timeOf(invalidity)}, nil
}

// timeOf reads a nullable time as a row holds it.
func timeOf(v any) time.Time {
	if n, ok := v.(int64); ok {
		return time.UnixMicro(n).UTC()
	}
	return time.Time{}
}

// Plausible bounds the entries of the next complete list by counting, apart
// from the walk that makes it: what must be on it, and what may be because its
// certificate has ended.
func Plausible(tx *ledger.Tx, issuer certs.IssuerID, which certs.ListName) (must, may int64, err error) {
	number, err := numberOf(tx, issuer)
	if err != nil {
		return 0, 0, fmt.Errorf("counting the revoked: %w", err)
	}
	for _, query := range []string{
		`SELECT COUNT(*), CAST(COALESCE(SUM(CASE WHEN not_after >= $2 THEN 1 ELSE 0 END), 0) AS BIGINT) FROM certs_status WHERE issuer = $1 AND status <> 0`,
		`SELECT CAST(COALESCE(SUM(serials), 0) AS BIGINT), CAST(COALESCE(SUM(CASE WHEN first_end >= $2 THEN serials ELSE 0 END), 0) AS BIGINT)
			FROM certs_status_run WHERE issuer = $1 AND status <> 0`,
	} {
		args := []any{number, tx.Time()}
		if which.Kind == certs.ListShard {
			query, args = query+` AND shard = $3`, append(args, which.Shard)
		}
		var all, sure int64
		if err := tx.QueryRow(query, args...).Scan(&all, &sure); err != nil {
			return 0, 0, fmt.Errorf("counting the revoked: %w", err)
		}
		must, may = must+sure, may+all-sure
	}
	return must, may, nil
}
