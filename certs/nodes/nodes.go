// Package nodes owns the register of the machines that may follow the ledger: what each may receive, under which hosts it
// serves, its certificates, and the last it said of how far it is.
//
// A node is added once and never taken away, since what it may have copied stays of interest; it is disabled, which
// revokes its certificates in the same transaction. Certificates are issued by the CA for an order of this package's
// callers and bound to the node in the transaction that records them.
//
// Leases are written now and then, for other writers of the same ledger and for those who look; who waits for a position
// asks the process the node follows.
package nodes

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/journal/feed"
	"cardinal/internal/ledger"
)

// Room is what ledger.Options needs to hold this room's tables.
func Room() ledger.Room {
	return ledger.Room{Name: "nodes", Migrations: []string{tables}}
}

// Times are microseconds; disabled is 0 for a node that may follow. hosts are
// separated by spaces. nodes_lease.said is a feed.Lease.
const tables = `
CREATE TABLE nodes_node (
  name TEXT PRIMARY KEY,
  scope TEXT NOT NULL,
  hosts TEXT NOT NULL,
  added BIGINT NOT NULL,
  disabled BIGINT NOT NULL,
  why TEXT NOT NULL
);
CREATE TABLE nodes_certificate (
  digest BYTEA PRIMARY KEY,
  issuer BYTEA NOT NULL,
  serial BYTEA NOT NULL,
  node TEXT NOT NULL
);
CREATE INDEX nodes_certificate_node ON nodes_certificate (node);
CREATE TABLE nodes_lease (
  node TEXT PRIMARY KEY,
  seen BIGINT NOT NULL,
  said BYTEA NOT NULL
);
`

var (
	// ErrUnknown: there is no node of this name.
	ErrUnknown = errors.New("there is no node of this name")
	// ErrTaken: there is, or was, a node of this name.
	ErrTaken = errors.New("there is a node of this name already, or was: names are not given twice")
	// ErrDisabled: it was disabled before.
	ErrDisabled = errors.New("the node was disabled before")
	// ErrName: not a name for a node.
	ErrName = errors.New("a node's name is 1 to 63 of a-z, 0-9, dot and hyphen, begins and ends with a letter or digit, and is not a number")
)

// CheckName refuses what is no name for a node: it stands in a certificate, where a number would be a person.
func CheckName(name string) error {
	if len(name) > 63 || !regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`).MatchString(name) || strings.Trim(name, "0123456789.") == "" {
		return fmt.Errorf("node %q: %w", name, ErrName)
	}
	return nil
}

// Add enrols a node. ErrTaken if the name was given before.
func Add(tx *ledger.Tx, n feed.Node) error {
	if err := CheckName(n.Name); err != nil {
		return err
	}
	switch _, err := Find(tx, n.Name); {
	case err == nil:
		return fmt.Errorf("adding node %s: %w", n.Name, ErrTaken)
	case !errors.Is(err, ErrUnknown):
		return err
	}
	tx.Defer(`INSERT INTO nodes_node (name, scope, hosts, added, disabled, why) VALUES ($1, $2, $3, $4, 0, '')`,
		n.Name, string(n.Scope), strings.Join(n.Hosts, " "), tx.Time())
	return nil
}

// Bind says that a certificate recorded in this transaction is a node's.
func Bind(tx *ledger.Tx, name string, ref certs.Ref, der []byte) error {
	n, err := Find(tx, name)
	if err != nil {
		return err
	}
	if !n.Disabled.IsZero() {
		return fmt.Errorf("certifying node %s: %w", name, ErrDisabled)
	}
	tx.Defer(`INSERT INTO nodes_certificate (digest, issuer, serial, node) VALUES ($1, $2, $3, $4)`,
		journal.Hash(sha256.Sum256(der)), journal.Hash(ref.Issuer), ref.Serial.Bytes(), name)
	return nil
}

// Disable keeps a node from everything from the commit on, and revokes its certificates. It says which these were.
func Disable(tx *ledger.Tx, name, why string) ([]certs.Ref, error) {
	n, err := Find(tx, name)
	if err != nil {
		return nil, err
	}
	if !n.Disabled.IsZero() {
		return nil, fmt.Errorf("disabling node %s: %w", name, ErrDisabled)
	}
	refs, err := Certificates(tx, name)
	if err != nil {
		return nil, err
	}
	var live []certs.Ref
	for _, ref := range refs {
		status, err := register.StatusOf(tx, ref)
		if err != nil {
			return nil, err
		}
		if status.State != certs.StateRevoked {
			live = append(live, ref)
		}
	}
	tx.Defer(`UPDATE nodes_node SET disabled = $1, why = $2 WHERE name = $3`, tx.Time(), why, name)
	if len(live) > 0 {
		err = register.SetStatus(tx, live, certs.Revoked(certs.ReasonCessationOfOperation))
	}
	return live, err
}

// Certificates are those bound to a node, whatever their status.
func Certificates(tx *ledger.Tx, name string) ([]certs.Ref, error) {
	rows, err := tx.Query(`SELECT issuer, serial FROM nodes_certificate WHERE node = $1 ORDER BY serial`, name)
	if err != nil {
		return nil, fmt.Errorf("reading the certificates of node %s: %w", name, err)
	}
	defer rows.Close()
	var refs []certs.Ref
	for rows.Next() {
		var issuer, serial []byte
		if err := rows.Scan(&issuer, &serial); err != nil {
			return nil, fmt.Errorf("reading the certificates of node %s: %w", name, err)
		}
		refs = append(refs, refOf(issuer, serial))
	}
	return refs, errors.Join(rows.Err(), rows.Close())
}

func refOf(issuer, serial []byte) certs.Ref {
	r := certs.Ref{Serial: certs.Serial(bytes.Clone(serial))}
	copy(r.Issuer[:], issuer)
	return r
}

const selectNode = `SELECT name, scope, hosts, disabled, why FROM nodes_node`

func scanNode(scan func(into ...any) error) (feed.Node, error) {
	var n feed.Node
	var scope, hosts string
	var disabled int64
	err := scan(&n.Name, &scope, &hosts, &disabled, &n.Why)
	n.Scope, n.Hosts = feed.Scope(scope), strings.Fields(hosts)
	if disabled != 0 {
		n.Disabled = time.UnixMicro(disabled).UTC()
	}
	return n, err
}

// Find gives a node by its name; ErrUnknown.
func Find(tx *ledger.Tx, name string) (feed.Node, error) {
	n, err := scanNode(tx.QueryRow(selectNode+` WHERE name = $1`, name).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrUnknown
	}
	if err != nil {
		return n, fmt.Errorf("reading node %s: %w", name, err)
	}
	return n, nil
}

// List gives all nodes, disabled ones too, in order of their names.
func List(tx *ledger.Tx) ([]feed.Node, error) {
	rows, err := tx.Query(selectNode + ` ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	defer rows.Close()
	var all []feed.Node
	for rows.Next() {
		n, err := scanNode(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("listing nodes: %w", err)
		}
		all = append(all, n)
	}
	return all, errors.Join(rows.Err(), rows.Close())
}
