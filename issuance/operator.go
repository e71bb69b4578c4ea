package issuance

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// Operator is who asks: the end-entity certificate whose key the TLS handshake
// proved, as DER. What it is worth is found out in each transaction.
type Operator struct {
	Certificate []byte
}

// actor is an operator as one transaction found him.
type actor struct {
	identity string     // a person's number or a bootstrap operator's name
	person   certs.UUID // "" for a bootstrap operator
	card     string
	roles    []policies.Role
	assigns  []string // organisations where a role that assigns positions is active now
}

// signIn reads what the operator's certificate, card and role profiles are
// worth at the transaction's time. It refuses with KindOperator.
func (d *Desk) signIn(tx *ledger.Tx, op Operator) (*actor, error) {
	held, err := certificateOf(tx, op.Certificate)
	if err != nil {
		return nil, err
	}
	if held.Profile == policies.ProfileOperator { // first, since their end revokes them and says more
		if _, err := d.bootstrapActor(tx, held.Ref); err != nil {
			return nil, err
		}
	}
	status, err := register.Judged(tx, held.Ref.Issuer, held.Status)
	if err != nil {
		return nil, err
	}
	switch status.State {
	case certs.StateGood:
	case certs.StateHeld:
		return nil, operatorSuspended.says("the certificate %s is on hold since %s", held.Serial, day(status.At))
	default:
		return nil, operatorRevoked.says("the certificate %s was revoked on %s", held.Serial, day(status.At))
	}
	switch now := d.moment(tx); {
	case now.Before(held.NotBefore):
		return nil, operatorEarly.says("the certificate %s counts from %s", held.Serial, day(held.NotBefore))
	case now.After(held.NotAfter):
		return nil, operatorExpired.says("the certificate %s ended on %s", held.Serial, day(held.NotAfter))
	}
	switch held.Profile {
	case policies.ProfileOperator:
		return d.bootstrapActor(tx, held.Ref)
	case policies.ProfileAuthentication:
		return d.cardActor(tx, held)
	}
	return nil, operatorProfile.says("a %s certificate is no operator's", held.Profile)
}

// certificateOf finds the presented bytes in the register: a certificate that
// is not there byte for byte was not issued here, whoever signed it.
func certificateOf(tx *ledger.Tx, der []byte) (register.Certificate, error) {
	outline, err := certs.OutlineOf(der)
	if err != nil {
		return register.Certificate{}, operatorUnknown.says("the client certificate cannot be read")
	}
	same, err := register.BySerial(tx, outline.Serial)
	if err != nil {
		return register.Certificate{}, fmt.Errorf("reading certificate %s: %w", outline.Serial, err)
	}
	at := slices.IndexFunc(same, func(c register.Certificate) bool { return bytes.Equal(c.DER, der) })
	if at < 0 {
		return register.Certificate{}, operatorUnknown.says("the client certificate %s was not issued here", outline.Serial)
	}
	return same[at], nil
}

// bootstrapActor counts the RA managers at each request: one can come without
// any verb of the desk, by a role whose day has come.
func (d *Desk) bootstrapActor(tx *ledger.Tx, ref certs.Ref) (*actor, error) {
	var a actor
	var role string
	var ended int64
	err := tx.QueryRow(`SELECT name, role, ended FROM issuance_operators WHERE issuer = $1 AND serial = $2`,
		journal.Hash(ref.Issuer), ref.Serial.Bytes()).Scan(&a.identity, &role, &ended)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, operatorUnknown.says("no operator has the certificate %s", ref.Serial)
	case err != nil:
		return nil, fmt.Errorf("reading the operator of %s: %w", ref, err)
	case ended != 0:
		return nil, operatorEnded.says("%s ended on %s", a.identity, day(fromMicros(ended)))
	}
	known, err := knownManagers(tx)
	if err != nil {
		return nil, err
	}
	if enough, err := d.enoughManagers(tx, known); err != nil || enough {
		return nil, errors.Join(err, operatorEnded.says("%s ended: %s", a.identity, whyEnded))
	}
	a.roles = []policies.Role{policies.Role(role)}
	return &a, nil
}

// cardActor demands a card in its holder's hands, with this very pair on it.
func (d *Desk) cardActor(tx *ledger.Tx, held register.Certificate) (*actor, error) {
	card, err := readCard(tx, held.Card)
	if err != nil {
		return nil, err
	}
	if card.State != CardActive || card.Authentication != held.Ref {
		return nil, operatorCard.says("card %s is %s", card.ID, card.State)
	}
	rights, err := d.rightsOf(tx, card.Person)
	if err != nil {
		return nil, err
	}
	if !rights.active {
		return nil, operatorClosed.says("%s is closed", card.Person)
	}
	roles := append(slices.Clone(rights.roles), policies.RoleHolder)
	return &actor{identity: string(card.Person), person: card.Person, card: card.ID, roles: roles, assigns: rights.assigns}, nil
}

// may asks the matrix with all the operator's roles together.
func (d *Desk) may(a *actor, what policies.Activity, s policies.Situation) (policies.Role, error) {
	matrix := d.policies.Matrix()
	if err := matrix.May(a.roles, what, s); err != nil {
		if a.onlyHolds() && !s.Own && concernsSomebody(what) {
			return "", errNotYours()
		}
		return "", turnedDown(KindRight, "", err)
	}
	at := slices.IndexFunc(a.roles, func(r policies.Role) bool { return matrix.Allows(r, what, s) })
	return a.roles[at], nil
}

// onlyHolds tells of somebody with a card and no other role.
func (a *actor) onlyHolds() bool {
	return !slices.ContainsFunc(a.roles, func(r policies.Role) bool { return r != policies.RoleHolder })
}

// concernsSomebody tells activities on a person's things from those on none.
func concernsSomebody(what policies.Activity) bool {
	return !slices.Contains([]policies.Activity{policies.PersonAdd, policies.ListPublish, policies.OperatorRead, policies.AuthorityRead}, what)
}

// discreet gives somebody who only holds a card one answer about what is not
// there and what is not his, so that nobody learns by asking which numbers of
// persons, cases and cards exist.
func (a *actor) discreet(err error) error {
	var no *Refusal
	if errors.As(err, &no) && no.Kind == KindUnknown && a.onlyHolds() {
		return errNotYours()
	}
	return err
}

func errNotYours() error { return notYours.says("there is no such thing, or it is not yours") }

// about is the situation of acting on a person's things.
func (a *actor) about(person certs.UUID) policies.Situation {
	return policies.Situation{Own: a.person != "" && a.person == person}
}

// turnedDown gives a refusal by policy the desk's form; other errors pass.
func turnedDown(kind Kind, field string, err error) error {
	var no *policies.Refusal
	if !errors.As(err, &no) {
		return err
	}
	return &Refusal{Kind: kind, Rule: no.Rule, Clause: no.Clause, Detail: no.Detail, Field: field}
}

// moment is the later of the transaction's time and the clock: a snapshot is
// dated by the ledger's last heartbeat, and a certificate must not count for
// longer because of it.
func (d *Desk) moment(tx *ledger.Tx) time.Time {
	if now := d.now(); now.After(tx.Time()) {
		return now
	}
	return tx.Time()
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// micros is how tables hold a time; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
