package register

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"cardinal/certs"
	"cardinal/internal/ledger"
)

const (
	// runMost is how many serials a run has at most: what one of them that is
	// changed alone has to write anew, some 5 KB.
	runMost = 256
	// runLeast is below what a row each is no dearer, and found at once.
	runLeast = 8
)

// ended is a serial in a run, and when its certificate ends: in whole seconds,
// if anything later.
type ended struct {
	serial certs.Serial
	end    time.Time
}

// run is one of certs_status_run, its entries sorted by serial.
type run struct {
	issuer  int64
	shard   uint16
	entries []ended
	standing
}

func (r *run) lowest() certs.Serial  { return r.entries[0].serial }
func (r *run) highest() certs.Serial { return r.entries[len(r.entries)-1].serial }

// search finds a serial among sorted entries.
func search(entries []ended, serial certs.Serial) (int, bool) {
	return slices.BinarySearchFunc(entries, serial, func(e ended, s certs.Serial) int { return cmp.Compare(e.serial, s) })
}

// errEntries: certs_status_run.entries is not what this package writes.
var errEntries = errors.New("the serials of a run cannot be read")

// appendEntries encodes: for each the length of the serial, the serial, and by
// how many seconds its certificate ends before the last.
func appendEntries(b []byte, entries []ended, last time.Time) []byte {
	for _, e := range entries {
		b = append(b, byte(len(e.serial)))
		b = append(b, e.serial...)
		b = binary.AppendUvarint(b, uint64(last.Unix()-e.end.Unix()))
	}
	return b
}

// parseEntries reads what appendEntries wrote. Errors: errEntries.
func parseEntries(b []byte, last time.Time) ([]ended, error) {
	out := make([]ended, 0, len(b)/18+1)
	for len(b) > 0 {
		n := int(b[0])
		if n == 0 || n > certs.SerialMax || len(b) < 2+n {
			return nil, errEntries
		}
		serial := certs.Serial(b[1 : 1+n])
		before, used := binary.Uvarint(b[1+n:])
		if used <= 0 || before > uint64(last.Unix()) || len(out) > 0 && out[len(out)-1].serial >= serial {
			return nil, errEntries
		}
		out = append(out, ended{serial, time.Unix(last.Unix()-int64(before), 0).UTC()})
		b = b[1+n+used:]
	}
	if len(out) == 0 {
		return nil, errEntries
	}
	return out, nil
}

// fullSecond is the first whole second not before t.
func fullSecond(t time.Time) time.Time {
	return t.UTC().Add(time.Second - 1).Truncate(time.Second)
}

// insert writes the run.
func (r *run) insert(tx *ledger.Tx) {
	first, last := r.entries[0].end, r.entries[0].end
	for _, e := range r.entries[1:] {
		if e.end.Before(first) {
			first = e.end
		}
		if e.end.After(last) {
			last = e.end
		}
	}
	s := r.status
	tx.Defer(`INSERT INTO certs_status_run (issuer, shard, lowest, highest, serials, status, reason, revoked, invalidity, changed, first_end, last_end, entries)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		r.issuer, r.shard, []byte(r.lowest()), []byte(r.highest()), len(r.entries), uint8(s.State), uint8(s.Reason), s.At, s.Invalidity, r.changed,
		first.UnixMicro(), last.UnixMicro(), appendEntries(nil, r.entries, last))
}

func (r *run) drop(tx *ledger.Tx) {
	tx.Defer(`DELETE FROM certs_status_run WHERE issuer = $1 AND shard = $2 AND lowest = $3`, r.issuer, r.shard, []byte(r.lowest()))
}

const runColumns = `SELECT issuer, shard, status * 256 + reason, revoked, invalidity, changed, entries, last_end FROM certs_status_run`

// runs reads runs whole.
func runs(tx *ledger.Tx, condition string, args ...any) ([]run, error) {
	rows, err := tx.Query(runColumns+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("reading statuses: %w", err)
	}
	defer rows.Close()
	var out []run
	for rows.Next() {
		var r run
		var s scanned
		var entries []byte
		var last stamp
		if err := rows.Scan(append(append([]any{&r.issuer, &r.shard}, s.into()...), &entries, &last)...); err != nil {
			return nil, fmt.Errorf("reading statuses: %w", err)
		}
		r.standing = s.standing()
		if r.entries, err = parseEntries(entries, last.time()); err != nil {
			return nil, fmt.Errorf("reading statuses: %w", err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// runAt is the run that begins at a serial or last before it, nil if none does:
// the only one the serial can be in.
func runAt(tx *ledger.Tx, issuer int64, shard uint16, serial certs.Serial) (*run, error) {
	found, err := runs(tx, ` WHERE issuer = $1 AND shard = $2 AND lowest <= $3 ORDER BY lowest DESC LIMIT 1`, issuer, shard, []byte(serial))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// nextRun is where the first run after a serial begins; empty if there is none.
func nextRun(tx *ledger.Tx, issuer int64, shard uint16, serial certs.Serial) (certs.Serial, error) {
	rows, err := tx.Query(`SELECT lowest FROM certs_status_run WHERE issuer = $1 AND shard = $2 AND lowest > $3 ORDER BY lowest LIMIT 1`, issuer, shard, []byte(serial))
	if err != nil {
		return "", fmt.Errorf("reading statuses: %w", err)
	}
	defer rows.Close()
	var lowest []byte
	if rows.Next() {
		if err := rows.Scan(&lowest); err != nil {
			return "", fmt.Errorf("reading statuses: %w", err)
		}
	}
	return certs.Serial(lowest), rows.Err()
}

// taken are the shards of an issuer that have a run which reaches into a range
// of serials, ends included.
func taken(tx *ledger.Tx, issuer int64, from, to certs.Serial) (map[uint16]bool, error) {
	rows, err := tx.Query(`SELECT h.shard, (SELECT r.highest FROM certs_status_run r
			WHERE r.issuer = $1 AND r.shard = h.shard AND r.lowest <= $2 ORDER BY r.lowest DESC LIMIT 1)
		FROM certs_shard h WHERE h.issuer = (SELECT id FROM certs_issuer WHERE number = $1)`, issuer, []byte(to))
	if err != nil {
		return nil, fmt.Errorf("reading statuses: %w", err)
	}
	defer rows.Close()
	out := map[uint16]bool{}
	for rows.Next() {
		var shard uint16
		var highest []byte
		if err := rows.Scan(&shard, &highest); err != nil {
			return nil, fmt.Errorf("reading statuses: %w", err)
		}
		if certs.Serial(highest) >= from { // none is empty, and so before every serial
			out[shard] = true
		}
	}
	return out, rows.Err()
}
