package issuance

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"time"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// Bootstrap is somebody who may act without a card, until enough people can
// with one: at the start nobody has a card to issue cards with.
type Bootstrap struct {
	Name        string
	Role        policies.Role
	Certificate certs.Ref
	Since       time.Time
	Until       time.Time
	Ended       time.Time // zero while it counts
	Why         string
}

// managersToEnd is how many RA managers with active cards end the bootstrap
// operators: two, so that one who is away or locked out is not the end of it.
const managersToEnd = 2

// Newcomer is a bootstrap operator to be enrolled.
type Newcomer struct {
	Name string // CN of the certificate: bootstrap-manager
	Role policies.Role
	Key  crypto.PublicKey
}

// Enrol issues the certificates of bootstrap operators, in the order given. It
// is for setting a ledger up: it refuses as soon as there ever was one.
func (d *Desk) Enrol(ctx context.Context, newcomers ...Newcomer) ([][]byte, journal.Position, error) {
	var orders []ca.Order
	for _, n := range newcomers {
		orders = append(orders, ca.Order{Issuer: ca.Services,
			Request: policies.Request{Profile: policies.ProfileOperator, PublicKey: n.Key,
				Subject: policies.Subject{CommonName: n.Name}}})
	}
	issued, position, err := d.ca.Issue(ctx, orders, func(tx *ledger.Tx, signed []ca.Issued) error {
		var known int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM issuance_operators`).Scan(&known); err != nil {
			return fmt.Errorf("counting operators: %w", err)
		}
		if known > 0 {
			return operatorsThere.says("%d bootstrap operators were enrolled before", known)
		}
		for i, n := range newcomers {
			if err := d.enrolled(tx, n, signed[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("enrolling bootstrap operators: %w", err)
	}
	var ders [][]byte
	for _, one := range issued {
		ders = append(ders, one.Certificate.Raw)
	}
	return ders, position, nil
}

func (d *Desk) enrolled(tx *ledger.Tx, n Newcomer, signed ca.Issued) error {
	tx.Defer(`INSERT INTO issuance_operators (name, role, issuer, serial, since, until, ended, why)
		VALUES ($1, $2, $3, $4, $5, $6, 0, '')`,
		n.Name, string(n.Role), journal.Hash(signed.Ref.Issuer), signed.Ref.Serial.Bytes(),
		signed.Certificate.NotBefore.UnixMicro(), signed.Certificate.NotAfter.UnixMicro())
	setup := &actor{identity: deskDN}
	return d.decide(tx, setup, "", decision{subject: n.Name, verb: verbEnrol, to: string(n.Role)})
}

// settleBootstrap ends the bootstrap operators once enough RA managers hold
// active cards. Every verb that can raise the number calls it with the person
// it concerned; who else may count is in the tables.
func (d *Desk) settleBootstrap(tx *ledger.Tx, uuid certs.UUID) error {
	open, err := operatorsWhere(tx, `ended = 0`)
	if err != nil || len(open) == 0 {
		return err
	}
	candidates, err := d.managerCandidates(tx, uuid)
	if err != nil {
		return err
	}
	enough, err := d.enoughManagers(tx, candidates)
	if err != nil || !enough {
		return err
	}
	return d.endBootstrap(tx, open, deskDN, whyEnded)
}

const whyEnded = "two RA managers hold active cards"

// enoughManagers tells whether so many could sign in as RA managers now that
// the bootstrap operators have no place any more.
func (d *Desk) enoughManagers(tx *ledger.Tx, candidates []certs.UUID) (bool, error) {
	managers := 0
	for _, candidate := range candidates {
		manages, err := d.managesWithCard(tx, candidate)
		if err != nil {
			return false, err
		}
		if manages {
			managers++
		}
		if managers == managersToEnd {
			return true, nil
		}
	}
	return false, nil
}

// managerCandidates are the person at hand, those who got the role here, and
// those who were candidates before.
func (d *Desk) managerCandidates(tx *ledger.Tx, uuid certs.UUID) ([]certs.UUID, error) {
	held, err := d.rightsOf(tx, uuid)
	if err != nil {
		return nil, err
	}
	if slices.Contains(held.roles, policies.RoleManager) {
		tx.Defer(`INSERT INTO issuance_positions (id, person, organisation, manager) VALUES ($1, $2, '', 1)
			ON CONFLICT (id) DO NOTHING`, "manager "+string(uuid), string(uuid))
	}
	return knownManagers(tx)
}

// knownManagers are those who got the role here at some time.
func knownManagers(tx *ledger.Tx) ([]certs.UUID, error) {
	rows, err := tx.Query(`SELECT DISTINCT person FROM issuance_positions WHERE manager = 1 ORDER BY person`)
	if err != nil {
		return nil, fmt.Errorf("looking for RA managers: %w", err)
	}
	defer rows.Close()
	var all []certs.UUID
	for rows.Next() {
		var person string
		if err := rows.Scan(&person); err != nil {
			return nil, fmt.Errorf("reading an RA manager: %w", err)
		}
		all = append(all, certs.UUID(person))
	}
	return all, errors.Join(rows.Err(), rows.Close())
}

// managesWithCard reports whether somebody could sign in as RA manager now.
func (d *Desk) managesWithCard(tx *ledger.Tx, uuid certs.UUID) (bool, error) {
	card, err := d.liveCard(tx, uuid)
	if err != nil || card == nil || card.State != CardActive {
		return false, err
	}
	status, err := register.JudgedOf(tx, card.Authentication)
	if err != nil || status.State != certs.StateGood {
		return false, err
	}
	held, err := d.rightsOf(tx, uuid)
	return err == nil && held.active && slices.Contains(held.roles, policies.RoleManager), err
}

// endBootstrap ends the operators and revokes their certificates.
func (d *Desk) endBootstrap(tx *ledger.Tx, open []Bootstrap, who, why string) error {
	by := &actor{identity: who}
	for _, o := range open {
		tx.Defer(`UPDATE issuance_operators SET ended = $1, why = $2 WHERE name = $3`, tx.Time().UnixMicro(), why, o.Name)
		if err := retire(tx, o.Certificate); err != nil {
			return err
		}
		if err := d.decide(tx, by, "", decision{subject: o.Name, verb: verbEnd, from: string(o.Role), reason: why}); err != nil {
			return err
		}
	}
	return nil
}

// retire revokes a certificate unless somebody did.
func retire(tx *ledger.Tx, ref certs.Ref) error {
	status, err := register.StatusOf(tx, ref)
	if err != nil || status.State == certs.StateRevoked {
		return err
	}
	return register.SetStatus(tx, []certs.Ref{ref}, certs.Revoked(certs.ReasonCessationOfOperation))
}

func operatorsWhere(tx *ledger.Tx, condition string) ([]Bootstrap, error) {
	rows, err := tx.Query(`SELECT name, role, issuer, serial, since, until, ended, why FROM issuance_operators
		WHERE ` + condition + ` ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("reading operators: %w", err)
	}
	defer rows.Close()
	var all []Bootstrap
	for rows.Next() {
		var o Bootstrap
		var role string
		var issuer, serial []byte
		var since, until, ended int64
		if err := rows.Scan(&o.Name, &role, &issuer, &serial, &since, &until, &ended, &o.Why); err != nil {
			return nil, fmt.Errorf("reading an operator: %w", err)
		}
		o.Role, o.Certificate = policies.Role(role), refOf(issuer, serial)
		o.Since, o.Until, o.Ended = fromMicros(since), fromMicros(until), fromMicros(ended)
		all = append(all, o)
	}
	return all, errors.Join(rows.Err(), rows.Close())
}
