package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"cardinal/issuance/api"
	"cardinal/issuance/card"
	"cardinal/tools/internal/pending"
)

// result is what issue and renew print.
type result struct {
	Card     string      `json:"card"`
	Serials  api.Serials `json:"serials"`
	State    string      `json:"state"`
	Position uint64      `json:"position"`
	Visible  bool        `json:"visible"`
}

func (s *station) algorithmFlag(c *cobra.Command, algorithm *string) {
	c.Flags().StringVar(algorithm, "algorithm", string(card.P256), "P-256, P-384 or RSA-2048")
}

func issueCommand(s *station) *cobra.Command {
	var id, algorithm string
	var handOver bool
	c := &cobra.Command{Use: "issue --case CASE", Short: "Put an approved case's pair on the card", Args: cobra.NoArgs,
		Example: "  station issue --case CASE --card alex.card --url https://127.0.0.1:8443 --as operators/manager.pem --hand-over",
		RunE: func(c *cobra.Command, _ []string) error {
			return failing("issue", s.issue(c.Context(), id, card.Algorithm(algorithm), handOver))
		}}
	c.Flags().StringVar(&id, "case", "", "the approved case")
	c.Flags().BoolVar(&handOver, "hand-over", false, "the holder stands here and takes the card")
	_ = c.MarkFlagRequired("case")
	s.algorithmFlag(c, &algorithm)
	return s.operatorFlags(s.cardFlags(c))
}

func (s *station) issue(ctx context.Context, id string, algorithm card.Algorithm, handOver bool) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	defer client.Close()
	present, err := approved(ctx, client, id)
	if err != nil {
		return err
	}
	return s.issueTo(ctx, client, making{algorithm: algorithm}, issuing{present, func() (bool, error) { return handOver, nil }})
}

// issuing is a case at the desk; here says whether its holder is.
type issuing struct {
	*api.Case
	here func() (bool, error)
}

// issueTo puts the case's pair on the card that is put in, and hands it over
// if the holder is here.
func (s *station) issueTo(ctx context.Context, client *api.Client, m making, of issuing) (err error) {
	if m.card, err = s.insert(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.card.Close()) }()
	if m.pin, err = s.pin("PIN of the card: "); err != nil {
		return err
	}
	m.subject, m.made = of.ID, of.State == api.CaseIssued
	m.ask = func(ctx context.Context, r api.PairRequest) (*api.Issued, error) {
		return client.Issue(ctx, of.ID, r)
	}
	m.find = func(ctx context.Context, p *pending.Request) (*api.Issued, error) {
		if !m.made {
			return nil, nil
		}
		return findPair(ctx, client, of.Card, p)
	}
	answer, err := s.make(ctx, m)
	if err != nil {
		return err
	}
	r := result{Card: answer.Card, Serials: answer.Serials, State: api.CardIssued, Position: answer.Position, Visible: answer.Visible}
	taken, err := of.here()
	if err != nil {
		return err
	}
	if taken {
		given, err := client.HandOver(ctx, answer.Card, api.Reason{})
		if err != nil {
			return err
		}
		r.State, r.Position, r.Visible = given.State, given.Position, given.Visible
	}
	return s.printResult(r)
}

// approved looks before the card's keys are made anew. An issued case is let
// through: its answer may not have reached the card.
func approved(ctx context.Context, client *api.Client, id string) (*api.Case, error) {
	c, err := client.Case(ctx, id)
	if err != nil {
		return nil, err
	}
	if c.State != api.CaseApproved && c.State != api.CaseIssued {
		return nil, refused("case "+id, errors.New("it is "+c.State+", not approved"))
	}
	return c, nil
}

func (s *station) printResult(r result) error {
	return s.print(r, [][2]string{{"card", r.Card}, {"authentication", r.Serials.Authentication},
		{"signature", r.Serials.Signature}, {"state", r.State}})
}

func renewCommand(s *station) *cobra.Command {
	var algorithm string
	c := &cobra.Command{Use: "renew", Short: "Put a new pair on the same card", Args: cobra.NoArgs,
		Long: "Put a new pair on the same card. With --as an operator renews for the holder, whose\n" +
			"card and PIN prove that he is here; without it the holder renews his own card.",
		Example: "  station renew --card alex.card --url https://127.0.0.1:8443 --trust trust.pem",
		RunE: func(c *cobra.Command, _ []string) error {
			return failing("renew", s.renew(c.Context(), card.Algorithm(algorithm)))
		}}
	s.algorithmFlag(c, &algorithm)
	return s.operatorFlags(s.cardFlags(c))
}

func (s *station) renew(ctx context.Context, algorithm card.Algorithm) (err error) {
	inserted, err := s.insert()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, inserted.Close()) }()
	pin, err := s.pin("PIN of the card: ")
	if err != nil {
		return err
	}
	if err := inserted.VerifyPIN(pin); err != nil {
		return err
	}
	byHolder := s.who.as == ""
	var client *api.Client
	if byHolder {
		client, err = s.dialAsCard(inserted, pin)
	} else {
		client, err = s.dial()
	}
	if err != nil {
		return err
	}
	defer client.Close()
	present, err := s.cardOf(ctx, client, inserted)
	if err != nil {
		return err
	}
	if byHolder && s.now().Before(present.RenewFrom) {
		return refused("renew", errors.New("its holder may renew card "+present.ID+" from "+present.RenewFrom.Format(time.DateOnly)))
	}
	answer, err := s.make(ctx, making{card: inserted, pin: pin, algorithm: algorithm, subject: present.ID, renewing: !byHolder,
		ask: func(ctx context.Context, r api.PairRequest) (*api.Issued, error) {
			return client.Renew(ctx, present.ID, r)
		},
		find: func(ctx context.Context, p *pending.Request) (*api.Issued, error) {
			return findPair(ctx, client, present.ID, p)
		}})
	if err != nil {
		return err
	}
	return s.printResult(result{Card: answer.Card, Serials: answer.Serials, State: api.CardActive, Position: answer.Position, Visible: answer.Visible})
}
