package issuance

import (
	"fmt"
	"time"

	"cardinal/internal/ledger"
	"cardinal/policies"
)

// Decision is one line of the log: who did what, acting as what, when, and
// under which policy set.
type Decision struct {
	Verb     string
	From, To string // states, where the verb moved one
	By       string
	Role     policies.Role
	At       time.Time
	Policies [32]byte
	Reason   string
}

// decision is what is about to be written about a subject.
type decision struct {
	subject  string
	verb     string
	from, to string
	reason   string
}

// decide writes a line of the log. Numbering by count is safe: writes are serial.
func (d *Desk) decide(tx *ledger.Tx, by *actor, role policies.Role, what decision) error {
	hash := d.policies.Hash()
	var n int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM issuance_decisions WHERE subject = $1`, what.subject).Scan(&n); err != nil {
		return fmt.Errorf("numbering the decision on %s: %w", what.subject, err)
	}
	tx.Defer(`INSERT INTO issuance_decisions
		(subject, n, verb, from_state, to_state, actor, role, at, policies, reason)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		what.subject, n+1, what.verb, what.from, what.to, by.identity, string(role),
		tx.Time().UnixMicro(), hash[:], what.reason)
	return nil
}

// decisionsOn reads the log of one subject, oldest first.
func decisionsOn(tx *ledger.Tx, subject string) ([]Decision, error) {
	rows, err := tx.Query(`SELECT verb, from_state, to_state, actor, role, at, policies, reason
		FROM issuance_decisions WHERE subject = $1 ORDER BY n`, subject)
	if err != nil {
		return nil, fmt.Errorf("reading the decisions on %s: %w", subject, err)
	}
	defer rows.Close()
	var all []Decision
	for rows.Next() {
		var d Decision
		var role string
		var at int64
		var hash []byte
		if err := rows.Scan(&d.Verb, &d.From, &d.To, &d.By, &role, &at, &hash, &d.Reason); err != nil {
			return nil, fmt.Errorf("reading a decision on %s: %w", subject, err)
		}
		d.Role, d.At = policies.Role(role), fromMicros(at)
		copy(d.Policies[:], hash)
		all = append(all, d)
	}
	return all, rows.Err()
}
