package register

import (
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// Issuer is a CA of ours. DER is its certificate.
type Issuer struct {
	ID     certs.IssuerID
	Name   string
	DER    []byte
	Shards uint16
	Added  time.Time
}

// AddIssuer writes an issuer down, with its shards, and announces it. A key is
// an issuer once, and so is a name: it stands in the URLs of its lists. It
// issues nothing before StartIssuer.
func AddIssuer(tx *ledger.Tx, added certs.IssuerAdded) error {
	c, err := x509.ParseCertificate(added.DER)
	if err != nil {
		return fmt.Errorf("adding issuer %s: %w", added.Name, err)
	}
	if added.Shards == 0 {
		return fmt.Errorf("adding issuer %s: %w", added.Name, ErrUnknownShard)
	}
	id := certs.IssuerIDOf(c)
	n, err := tx.Exec(`INSERT INTO certs_issuer (id, name, der, shards, added, number)
		VALUES ($1, $2, $3, $4, $5, (SELECT 1 + COALESCE(MAX(number), 0) FROM certs_issuer))
		ON CONFLICT DO NOTHING`, journal.Hash(id), added.Name, added.DER, added.Shards, tx.Time())
	if err == nil && n == 0 {
		err = errIssuerRepeated
	}
	if err != nil {
		return fmt.Errorf("adding issuer %s: %w", added.Name, err)
	}
	tx.Defer(`INSERT INTO certs_generation (issuer, how) VALUES ($1, '')`, journal.Hash(id))
	for shard := range added.Shards {
		tx.Defer(`INSERT INTO certs_shard (issuer, shard, changes) VALUES ($1, $2, 0)`, journal.Hash(id), shard)
	}
	tx.Append(journal.KindIssuerAdded, certs.IssuerAddedVersion, added.Append(nil))
	return nil
}

// Issuers gives every issuer, oldest first.
func Issuers(tx *ledger.Tx) ([]Issuer, error) {
	rows, err := tx.Query(`SELECT id, name, der, shards, added FROM certs_issuer ORDER BY added, name`)
	if err != nil {
		return nil, fmt.Errorf("reading the issuers: %w", err)
	}
	defer rows.Close()
	var out []Issuer
	for rows.Next() {
		var i Issuer
		var id []byte
		var added stamp
		if err := rows.Scan(&id, &i.Name, &i.DER, &i.Shards, &added); err != nil {
			return nil, fmt.Errorf("reading the issuers: %w", err)
		}
		if i.ID, err = certs.IssuerIDFromBytes(id); err != nil {
			return nil, fmt.Errorf("reading the issuers: %w", err)
		}
		i.Added = added.time()
		out = append(out, i)
	}
	return out, rows.Err()
}

// shardsOf is how many shards an issuer has; ErrUnknownIssuer.
func shardsOf(tx *ledger.Tx, id certs.IssuerID) (uint16, error) {
	var n uint16
	err := tx.QueryRow(`SELECT shards FROM certs_issuer WHERE id = $1`, journal.Hash(id)).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrUnknownIssuer
	}
	return n, err
}
