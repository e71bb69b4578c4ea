package register

import (
	"database/sql"
	"fmt"
	"time"

	"cardinal/certs"
	"cardinal/internal/ledger"
)

// Standing is a status as it is written down, with what lists go by. Ends is
// when the certificate does, or up to a second later.
type Standing struct {
	certs.Ref
	Shard   uint16
	Ends    time.Time
	Status  certs.Status
	Changed time.Time
}

// Standings gives fn every status that is written down, released ones too, in
// no order: rows first, then runs. A certificate that is told twice, or of an
// issuer that is none, is an error in the register, for fn to find. While it
// runs the transaction can do nothing else; an error of fn ends it and is
// returned.
func Standings(tx *ledger.Tx, fn func(Standing) error) error {
	issuers, err := issuersByNumber(tx)
	if err != nil {
		return err
	}
	if err := standingRows(tx, issuers, fn); err != nil {
		return err
	}
	for number, id := range issuers { // one after the other, so that not all are in memory at once
		all, err := runs(tx, ` WHERE issuer = $1`, number)
		if err != nil {
			return err
		}
		for i := range all {
			if err := all[i].tell(id, fn); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) tell(id certs.IssuerID, fn func(Standing) error) error {
	for _, e := range r.entries {
		if err := fn(Standing{certs.Ref{Issuer: id, Serial: e.serial}, r.shard, e.end, r.status, r.changed}); err != nil {
			return err
		}
	}
	return nil
}

func issuersByNumber(tx *ledger.Tx) (map[int64]certs.IssuerID, error) {
	rows, err := tx.Query(`SELECT number, id FROM certs_issuer`)
	if err != nil {
		return nil, fmt.Errorf("reading the issuers: %w", err)
	}
	defer rows.Close()
	out := map[int64]certs.IssuerID{}
	for rows.Next() {
		var number int64
		var id []byte
		if err := rows.Scan(&number, &id); err != nil {
			return nil, fmt.Errorf("reading the issuers: %w", err)
		}
		var issuer certs.IssuerID
		copy(issuer[:], id)
		out[number] = issuer
	}
	return out, rows.Err()
}

func standingRows(tx *ledger.Tx, issuers map[int64]certs.IssuerID, fn func(Standing) error) error {
	rows, err := tx.Query(`SELECT issuer, shard, serial, not_after, status * 256 + reason, revoked, invalidity, changed FROM certs_status`)
	if err != nil {
		return fmt.Errorf("reading statuses: %w", err)
	}
	defer rows.Close()
	var serial sql.RawBytes
	for rows.Next() {
		var s Standing
		var number int64
		var end stamp
		var is scanned
		if err := rows.Scan(append([]any{&number, &s.Shard, &serial, &end}, is.into()...)...); err != nil {
			return fmt.Errorf("reading statuses: %w", err)
		}
		s.Ref, s.Ends = certs.Ref{Issuer: issuers[number], Serial: certs.Serial(serial)}, end.time()
		s.Status, s.Changed = is.standing().status, is.standing().changed
		if err := fn(s); err != nil {
			return err
		}
	}
	return rows.Err()
}
