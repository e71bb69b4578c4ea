package issuance

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// Self is who an operator is taken for.
type Self struct {
	Identity   string // a person's number or a bootstrap operator's name
	Bootstrap  bool
	Roles      []policies.Role
	Activities []policies.Activity // what the roles together allow on other people's things, or on one's own
}

// Self says who the operator is taken for now.
func (d *Desk) Self(ctx context.Context, op Operator) (*Self, error) {
	var s *Self
	err := d.read(ctx, op, func(tx *ledger.Tx, by *actor) error {
		s = &Self{Identity: by.identity, Bootstrap: by.person == "", Roles: by.roles}
		matrix := d.policies.Matrix()
		for _, what := range activities() {
			others := policies.Situation{InPerson: true, Assignable: true}
			own := policies.Situation{Own: true}
			if matrix.May(by.roles, what, others) == nil || matrix.May(by.roles, what, own) == nil {
				s.Activities = append(s.Activities, what)
			}
		}
		return nil
	})
	return s, err
}

// activities are those a station may offer somebody.
func activities() []policies.Activity {
	return []policies.Activity{
		policies.PersonAdd, policies.PersonUpdate, policies.PersonContact, policies.PersonClose, policies.PersonReopen, policies.PersonRead,
		policies.PositionAssign, policies.PositionRemove,
		policies.CaseRequest, policies.CaseApprove, policies.CaseRefuse, policies.CaseRead,
		policies.CardIssue, policies.CardHandOver, policies.CardReplace, policies.CardRenew, policies.CardRenewExpired,
		policies.CardSuspend, policies.CardResume, policies.CardCancel, policies.CardRead,
		policies.CertificateRead, policies.ListPublish, policies.OperatorRead,
	}
}

// Operators lists the bootstrap operators, ended ones too.
func (d *Desk) Operators(ctx context.Context, op Operator) ([]Bootstrap, error) {
	var all []Bootstrap
	err := d.read(ctx, op, func(tx *ledger.Tx, by *actor) error {
		if _, err := d.may(by, policies.OperatorRead, policies.Situation{}); err != nil {
			return err
		}
		var err error
		all, err = operatorsWhere(tx, `1 = 1`)
		return err
	})
	return all, err
}

// Issuer is a certification authority of this house.
type Issuer struct {
	register.Generation
	Certificate *x509.Certificate
}

// Issuers lists the authorities; any operator may see them.
func (d *Desk) Issuers(ctx context.Context, op Operator) ([]Issuer, error) {
	var all []Issuer
	err := d.read(ctx, op, func(tx *ledger.Tx, by *actor) error {
		found, err := register.Generations(tx)
		if err != nil {
			return err
		}
		for _, i := range found {
			c, err := x509.ParseCertificate(i.DER)
			if err != nil {
				return fmt.Errorf("parsing the certificate of issuer %s: %w", i.Name, err)
			}
			all = append(all, Issuer{i, c})
		}
		return nil
	})
	return all, err
}

// List is the newest revocation list of one issuer and name.
type List struct {
	Issuer string // its name
	certs.ListPublished
}

// Lists gives the newest list of every issuer and name; any operator may see
// them.
func (d *Desk) Lists(ctx context.Context, op Operator) ([]List, error) {
	var all []List
	err := d.read(ctx, op, func(tx *ledger.Tx, by *actor) error {
		lists, err := register.Lists(tx)
		for i := range lists {
			all = append(all, List{lists[i].Name, lists[i].List})
		}
		return err
	})
	return all, err
}

// Publication says which lists to sign: of every issuer whose key is here when
// Issuer is empty, all complete ones when All is set. A complete list takes its
// delta with it.
type Publication struct {
	Issuer string
	All    bool
	List   certs.ListName
}

// PublishLists signs and announces new lists now.
func (d *Desk) PublishLists(ctx context.Context, op Operator, p Publication) ([]List, journal.Position, error) {
	wanted, err := d.listsWanted(ctx, op, p)
	if err != nil {
		return nil, 0, err
	}
	var all []List
	for _, w := range wanted {
		list, err := d.ca.PublishList(ctx, w.issuer, w.which)
		if err != nil {
			return nil, 0, err
		}
		all = append(all, List{w.issuer, list})
	}
	head, err := d.ledger.Head(ctx)
	return all, head.Position, err
}

// wantedList is one list to be signed.
type wantedList struct {
	issuer string
	which  certs.ListName
}

func (d *Desk) listsWanted(ctx context.Context, op Operator, p Publication) ([]wantedList, error) {
	var wanted []wantedList
	err := d.read(ctx, op, func(tx *ledger.Tx, by *actor) error {
		if _, err := d.may(by, policies.ListPublish, policies.Situation{}); err != nil {
			return err
		}
		issuers, err := register.Issuers(tx)
		for _, i := range issuers {
			if p.Issuer != i.Name && (p.Issuer != "" || i.Name == ca.Root) {
				continue
			}
			for _, which := range d.ca.ListsOf(i.Name) {
				if p.All || which == p.List {
					wanted = append(wanted, wantedList{i.Name, which})
				}
			}
		}
		return err
	})
	if err == nil && len(wanted) == 0 {
		return nil, noSuchList(p)
	}
	return wanted, err
}

func noSuchList(p Publication) error {
	if p.All {
		return listUnknown.says("there is no CA %q", p.Issuer)
	}
	return listUnknown.says("%q has no list %s", p.Issuer, p.List)
}

// Health is where the ledger stands and what needs somebody.
type Health struct {
	Head     journal.Head
	Policies [32]byte
	Alarms   []Alarm
}

// Alarm is something that will stop issuing unless somebody acts.
type Alarm struct {
	Name   string
	Until  time.Time
	Detail string
}

// bootstrapWarning is how long before their end bootstrap operators are an alarm.
const bootstrapWarning = 7 * 24 * time.Hour

// Health is for any operator: the head and the policy set in force. The alarms
// are for those the matrix lets read them (authority.read): they tell everybody
// else when the house is weakest.
func (d *Desk) Health(ctx context.Context, op Operator) (*Health, error) {
	h := &Health{Policies: d.policies.Hash()}
	alarmed := false
	err := d.read(ctx, op, func(tx *ledger.Tx, by *actor) error {
		h.Head = tx.Head()
		if d.policies.Matrix().May(by.roles, policies.AuthorityRead, policies.Situation{}) != nil {
			return nil
		}
		alarmed = true
		open, err := operatorsWhere(tx, `ended = 0`)
		for _, o := range open {
			if d.moment(tx).After(o.Until.Add(-bootstrapWarning)) {
				h.Alarms = append(h.Alarms, Alarm{"bootstrap-ending", o.Until,
					"bootstrap operator " + o.Name + " ends before two RA managers hold active cards"})
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if !alarmed {
		return h, nil
	}
	alarms, err := d.ca.Alarms(ctx)
	for _, a := range alarms {
		h.Alarms = append(h.Alarms, Alarm{a.Kind, a.Until, a.Message})
	}
	return h, err
}
