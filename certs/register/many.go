package register

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// Many are the statuses of many certificates, read together so that they can be
// judged one by one and changed together: a statement then serves up to 64 of
// them. It lives as long as its transaction.
type Many struct {
	tx   *ledger.Tx
	rows map[certs.Ref]*row
}

// manySizes are how many rows one statement takes, most first: few texts, so
// that they stay prepared.
func manySizes() []int { return []int{64, 8, 1} }

// ReadMany reads the statuses of certificates of record. A serial that was
// never recorded is not among them.
func ReadMany(tx *ledger.Tx, refs []certs.Ref) (*Many, error) {
	m := &Many{tx: tx, rows: make(map[certs.Ref]*row, len(refs))}
	err := inParts(distinct(refs), func(part []certs.Ref) error { return m.read(part) })
	return m, err
}

// inParts calls fn with parts of one issuer each, of the sizes statements have.
func inParts(refs []certs.Ref, fn func(part []certs.Ref) error) error {
	for len(refs) > 0 {
		same := slices.IndexFunc(refs, func(r certs.Ref) bool { return r.Issuer != refs[0].Issuer })
		if same < 0 {
			same = len(refs)
		}
		for _, size := range manySizes() {
			if size <= same {
				same = size
				break
			}
		}
		if err := fn(refs[:same]); err != nil {
			return err
		}
		refs = refs[same:]
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

func (m *Many) read(part []certs.Ref) error {
	args := []any{journal.Hash(part[0].Issuer), serialReserved}
	for _, ref := range part {
		args = append(args, []byte(ref.Serial))
	}
	rows, err := m.tx.Query(`SELECT serial, shard, status, reason, revoked, invalidity FROM certs_serial
		WHERE issuer = $1 AND state <> $2 AND serial IN (`+places(3, len(part))+`)`, args...)
	if err != nil {
		return fmt.Errorf("reading statuses: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var serial []byte
		var revoked, invalidity stamp
		r := &row{}
		if err := rows.Scan(&serial, &r.shard, &r.status.State, &r.status.Reason, &revoked, &invalidity); err != nil {
			return fmt.Errorf("reading a status: %w", err)
		}
		r.ref = certs.Ref{Issuer: part[0].Issuer, Serial: certs.Serial(serial)}
		r.status.At, r.status.Invalidity = revoked.time(), invalidity.time()
		m.rows[r.ref] = r
	}
	return rows.Err()
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
	for _, set := range c.sets {
		if err := m.write(set); err != nil {
			return err
		}
	}
	c.finish()
	return nil
}

func (m *Many) write(set *certs.StatusChange) error {
	refs := make([]certs.Ref, 0, len(set.Serials))
	for _, serial := range set.Serials {
		refs = append(refs, certs.Ref{Issuer: set.Issuer, Serial: serial})
	}
	s := set.Status
	return inParts(refs, func(part []certs.Ref) error {
		args := []any{uint8(s.State), uint8(s.Reason), s.At, s.Invalidity, m.tx.Time(), journal.Hash(set.Issuer)}
		for _, ref := range part {
			args = append(args, []byte(ref.Serial))
		}
		m.tx.Defer(`UPDATE certs_serial SET status = $1, reason = $2, revoked = $3, invalidity = $4, changed = $5
			WHERE issuer = $6 AND serial IN (`+places(7, len(part))+`)`, args...)
		return nil
	})
}
