package nodes

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/journal/feed"
	"cardinal/internal/ledger"
)

// Register reads the tables for the feed. It holds nothing: what another process commits counts at once.
type Register struct {
	Ledger *ledger.Ledger
	Now    func() time.Time
}

var _ feed.Registry = Register{}

// Admit implements feed.Registry. It takes one read transaction of three short queries.
func (r Register) Admit(ctx context.Context, der []byte) (feed.Node, error) {
	outline, err := certs.OutlineOf(der)
	if err != nil {
		return feed.Node{}, errors.Join(feed.ErrUnknown, err)
	}
	var n feed.Node
	err = r.Ledger.Read(ctx, func(tx *ledger.Tx) (err error) {
		n, err = admit(tx, der)
		return err
	})
	if now := r.Now(); err == nil && (now.Before(outline.NotBefore) || now.After(outline.NotAfter)) {
		err = fmt.Errorf("%w: it counts from %s to %s", feed.ErrRevoked, outline.NotBefore, outline.NotAfter)
	}
	if err != nil {
		return feed.Node{}, fmt.Errorf("admitting a node: %w", err)
	}
	return n, nil
}

func admit(tx *ledger.Tx, der []byte) (feed.Node, error) {
	var issuer, serial []byte
	var name string
	err := tx.QueryRow(`SELECT issuer, serial, node FROM nodes_certificate WHERE digest = $1`, journal.Hash(sha256.Sum256(der))).
		Scan(&issuer, &serial, &name)
	if errors.Is(err, sql.ErrNoRows) {
		return feed.Node{}, feed.ErrUnknown
	}
	if err != nil {
		return feed.Node{}, err
	}
	n, err := Find(tx, name)
	if err != nil {
		return n, err
	}
	if !n.Disabled.IsZero() {
		return n, fmt.Errorf("%w: %s", feed.ErrDisabled, name)
	}
	status, err := register.JudgedOf(tx, refOf(issuer, serial))
	if err != nil {
		return n, err
	}
	if status.State != certs.StateGood {
		return n, fmt.Errorf("%w: %s", feed.ErrRevoked, name)
	}
	return n, nil
}

// List gives all nodes, as feed.NewLeases wants it.
func (r Register) List(ctx context.Context) ([]feed.Node, error) {
	var all []feed.Node
	err := r.Ledger.Read(ctx, func(tx *ledger.Tx) (err error) {
		all, err = List(tx)
		return err
	})
	return all, err
}

// SaveLeases writes down what was heard after a time, unless something newer stands there, and reports whether anything was.
func (r Register) SaveLeases(ctx context.Context, states []feed.NodeState, after time.Time) (bool, error) {
	var fresh []feed.NodeState
	for _, s := range states {
		if s.Seen.After(after) {
			fresh = append(fresh, s)
		}
	}
	if len(fresh) == 0 {
		return false, nil
	}
	_, err := r.Ledger.Write(ctx, func(tx *ledger.Tx) error {
		for i := range fresh {
			tx.Defer(`INSERT INTO nodes_lease (node, seen, said) VALUES ($1, $2, $3)
				ON CONFLICT (node) DO UPDATE SET seen = excluded.seen, said = excluded.said WHERE nodes_lease.seen < excluded.seen`,
				fresh[i].Name, fresh[i].Seen, fresh[i].Lease.Append(nil))
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("saving leases: %w", err)
	}
	return true, nil
}

// DropLease forgets what a copy inside a writer said, which has ended.
func (r Register) DropLease(ctx context.Context, name string) error {
	_, err := r.Ledger.Write(ctx, func(tx *ledger.Tx) error {
		tx.Defer(`DELETE FROM nodes_lease WHERE node = $1`, name)
		return nil
	})
	if err != nil {
		return fmt.Errorf("dropping the lease of %s: %w", name, err)
	}
	return nil
}

// LoadLeases gives what was written down to take.
func (r Register) LoadLeases(ctx context.Context, take func(node string, lease feed.Lease, seen time.Time)) error {
	err := r.Ledger.Read(ctx, func(tx *ledger.Tx) error {
		rows, err := tx.Query(`SELECT node, seen, said FROM nodes_lease`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			var seen int64
			var said []byte
			if err := rows.Scan(&name, &seen, &said); err != nil {
				return err
			}
			lease, err := feed.ParseLease(said)
			if err != nil {
				return fmt.Errorf("lease of node %s: %w", name, err)
			}
			take(name, lease, time.UnixMicro(seen).UTC())
		}
		return rows.Err()
	})
	if err != nil {
		return fmt.Errorf("reading leases: %w", err)
	}
	return nil
}
