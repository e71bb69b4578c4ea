package register

import (
	"cmp"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// Many are the statuses of many certificates, read together so that they can be
// judged one by one and changed together. It lives as long as its transaction,
// or is taken along into the one that changes them (In).
type Many struct {
	tx   *ledger.Tx
	rows map[certs.Ref]*row
}

// manySizes are how many rows one statement takes, most first: few texts, so
// that they stay prepared. rangeMost is how many serials one range is tried for.
func manySizes() []int { return []int{64, 8, 1} }

const rangeMost = 1024

// ReadMany reads the statuses of certificates of record. A serial that was
// never recorded is not among them. It may read in any transaction.
func ReadMany(tx *ledger.Tx, refs []certs.Ref) (*Many, error) {
	m := &Many{tx: tx, rows: make(map[certs.Ref]*row, len(refs))}
	err := byIssuer(distinct(refs), m.readIssuer)
	return m, err
}

// In takes what was read in one transaction into another that writes. Whoever
// calls it has made sure that no status changed in between.
func (m *Many) In(tx *ledger.Tx) *Many { return &Many{tx: tx, rows: m.rows} }

// byIssuer calls fn with the refs of each issuer.
func byIssuer(refs []certs.Ref, fn func(same []certs.Ref) error) error {
	for len(refs) > 0 {
		n := slices.IndexFunc(refs, func(r certs.Ref) bool { return r.Issuer != refs[0].Issuer })
		if n < 0 {
			n = len(refs)
		}
		if err := fn(refs[:n]); err != nil {
			return err
		}
		refs = refs[n:]
	}
	return nil
}

// places is "$from, $from+1 …" for n arguments.
func places(from, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(from + i))
	}
	return b.String()
}

// readIssuer reads sorted refs of one issuer. Cards of an order mostly lie
// together, as serials rise with time: a range is read at a third of what naming
// each serial costs, as far as it holds little else.
func (m *Many) readIssuer(refs []certs.Ref) error {
	var all []*row
	for part := range slices.Chunk(refs, rangeMost) {
		found, err := m.readPart(part)
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	for _, r := range all {
		m.rows[r.ref] = r
	}
	return m.readRuns(all)
}

func (m *Many) readPart(refs []certs.Ref) (all []*row, err error) {
	if len(refs) >= runLeast {
		var last certs.Serial
		if all, last, err = m.readRange(refs); err != nil {
			return nil, err
		}
		at, _ := slices.BinarySearchFunc(refs, last+"\x00", func(r certs.Ref, s certs.Serial) int { return cmp.Compare(r.Serial, s) })
		refs = refs[at:]
	}
	for len(refs) > 0 {
		n := 1
		for _, size := range manySizes() {
			if size <= len(refs) {
				n = size
				break
			}
		}
		found, err := m.readNamed(refs[:n])
		if err != nil {
			return nil, err
		}
		all, refs = append(all, found...), refs[n:]
	}
	return all, nil
}

const manyColumns = `SELECT s.serial, i.number, s.shard, s.not_after, ` + rowColumns + ` FROM certs_serial s` + rowOfSerial + ` WHERE s.issuer = $1 AND s.state <> $2 AND s.serial `

// readRange reads sorted refs with all that lies among them, and gives the
// serial up to which it has come.
func (m *Many) readRange(refs []certs.Ref) ([]*row, certs.Serial, error) {
	most := 2*len(refs) + runLeast
	highest := refs[len(refs)-1].Serial
	found, err := m.query(refs[0].Issuer, manyColumns+`>= $3 AND s.serial <= $4 ORDER BY s.serial LIMIT $5`,
		journal.Hash(refs[0].Issuer), serialReserved, []byte(refs[0].Serial), []byte(highest), most)
	if err != nil {
		return nil, "", err
	}
	if len(found) == most {
		highest = found[most-1].ref.Serial
	}
	wanted, at := found[:0], 0
	for _, r := range found {
		for at < len(refs) && refs[at].Serial < r.ref.Serial {
			at++
		}
		if at < len(refs) && refs[at].Serial == r.ref.Serial {
			wanted = append(wanted, r)
		}
	}
	return wanted, highest, nil
}

func (m *Many) readNamed(refs []certs.Ref) ([]*row, error) {
	args := []any{journal.Hash(refs[0].Issuer), serialReserved}
	for _, ref := range refs {
		args = append(args, []byte(ref.Serial))
	}
	return m.query(refs[0].Issuer, manyColumns+`IN (`+places(3, len(refs))+`)`, args...)
}

func (m *Many) query(issuer certs.IssuerID, query string, args ...any) ([]*row, error) {
	rows, err := m.tx.Query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading statuses: %w", err)
	}
	defer rows.Close()
	var out []*row
	var serial sql.RawBytes
	var number, shard, end, code, revoked, invalidity, changed any // as walk does
	into := []any{&serial, &number, &shard, &end, &code, &revoked, &invalidity, &changed}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("reading statuses: %w", err)
		}
		r := &row{ref: certs.Ref{Issuer: issuer, Serial: certs.Serial(serial)}, end: timeOf(end)}
		var isNumber, isShard bool
		var of int64
		r.number, isNumber = number.(int64)
		if of, isShard = shard.(int64); !isNumber || !isShard || end == nil {
			return nil, fmt.Errorf("reading statuses: a row of types %T, %T, %T", number, shard, end)
		}
		r.shard = uint16(of)
		if code != nil {
			is, err := standingFrom(code, revoked, invalidity)
			if err != nil {
				return nil, err
			}
			r.standing, r.place = standing{is, timeOf(changed)}, inRow
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// readRuns looks for those that have no row, which are of one issuer, in runs.
func (m *Many) readRuns(all []*row) error {
	var rows []*row
	for _, r := range all {
		if r.place == nowhere {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	sortByPlace(rows)
	low, high := rows[0].ref.Serial, rows[0].ref.Serial
	for _, r := range rows {
		low, high = min(low, r.ref.Serial), max(high, r.ref.Serial)
	}
	there, err := taken(m.tx, rows[0].number, low, high)
	if err != nil {
		return err
	}
	for len(rows) > 0 {
		n := sameShard(rows)
		if there[rows[0].shard] {
			if err := m.readShardRuns(rows[:n]); err != nil {
				return err
			}
		}
		rows = rows[n:]
	}
	return nil
}

// readShardRuns goes from run to run.
func (m *Many) readShardRuns(rows []*row) error {
	for len(rows) > 0 {
		first := rows[0]
		under, err := runAt(m.tx, first.number, first.shard, first.ref.Serial)
		if err != nil {
			return err
		}
		if under == nil || under.highest() < first.ref.Serial {
			next, err := nextRun(m.tx, first.number, first.shard, first.ref.Serial)
			if err != nil || next == "" {
				return err
			}
			rows = rows[before(rows, next):]
			continue
		}
		n := before(rows, under.highest()+"\x00")
		for _, r := range rows[:n] {
			if _, in := search(under.entries, r.ref.Serial); in {
				r.standing, r.place = under.standing, inRun
			}
		}
		rows = rows[n:]
	}
	return nil
}

// before counts the rows, sorted by serial, that come before one.
func before(rows []*row, serial certs.Serial) int {
	n, _ := slices.BinarySearchFunc(rows, serial, func(r *row, s certs.Serial) int { return cmp.Compare(r.ref.Serial, s) })
	return n
}

func sortByPlace(rows []*row) {
	slices.SortFunc(rows, func(a, b *row) int {
		return cmp.Or(cmp.Compare(a.shard, b.shard), cmp.Compare(a.ref.Serial, b.ref.Serial))
	})
}

// sameShard counts the rows at the beginning that are of one shard.
func sameShard(rows []*row) int {
	n := slices.IndexFunc(rows, func(r *row) bool { return r.shard != rows[0].shard })
	if n < 0 {
		return len(rows)
	}
	return n
}

// Status is what was read; false for what is not of record.
func (m *Many) Status(ref certs.Ref) (certs.Status, bool) {
	r, known := m.rows[ref]
	if !known {
		return certs.Status{}, false
	}
	return r.status, true
}

// Allows reports whether the table of transitions leads from what was read to
// a status; good is a release.
func (m *Many) Allows(ref certs.Ref, to certs.Status) bool {
	r, known := m.rows[ref]
	if !known {
		return false
	}
	_, allowed := step(r.status, to, m.tx.Time())
	return allowed
}

// Change gives certificates that were read a status as SetStatus does, or
// releases them when it is the zero status: all or none. Each may be named once
// in the transaction. Errors as SetStatus has.
func (m *Many) Change(refs []certs.Ref, to certs.Status) error {
	if to != (certs.Status{}) {
		to.Invalidity = wholeSecond(to.Invalidity)
		if err := to.Check(); err != nil {
			return fmt.Errorf("setting statuses: %w", err)
		}
	}
	c := &changing{tx: m.tx}
	for _, ref := range distinct(refs) {
		r, known := m.rows[ref]
		if !known {
			return fmt.Errorf("setting the status of %s: %w", ref, ErrUnknownSerial)
		}
		next, allowed := step(r.status, to, m.tx.Time())
		if !allowed {
			return &TransitionError{Ref: ref, From: r.status, To: to}
		}
		c.collect(r, next)
	}
	return c.finish()
}
