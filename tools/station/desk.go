package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"cardinal/issuance/api"
	"cardinal/issuance/card"
)

func deskCommand(s *station) *cobra.Command {
	c := &cobra.Command{Use: "desk", Short: "Work through the approved cases, one card after another", Args: cobra.NoArgs,
		Example: "  station desk --url https://127.0.0.1:8443 --as operators/manager.pem --reader Yubico",
		RunE:    func(c *cobra.Command, _ []string) error { return failing("desk", s.desk(c.Context())) }}
	return s.operatorFlags(s.cardFlags(c))
}

// desk lists the approved cases, has one chosen, and issues it to the card
// that is then put in. What goes wrong with one card does not end the day.
func (s *station) desk(ctx context.Context) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	defer client.Close()
	self, err := client.Self(ctx)
	if err != nil {
		return err
	}
	s.say(fmt.Sprintf("You are %s (%s).", self.Identity, strings.Join(self.Roles, ", ")))
	for {
		chosen, person, err := s.choose(ctx, client)
		if err != nil || chosen == nil {
			return err
		}
		if err := s.serveCase(ctx, client, chosen, person); err != nil {
			if ctx.Err() != nil {
				return err
			}
			s.say("That did not work: " + err.Error())
		}
	}
}

// choose gives nil when the day is over.
func (s *station) choose(ctx context.Context, client *api.Client) (*api.Case, *api.Person, error) {
	page, err := client.Cases(ctx, api.CaseFilter{State: api.CaseApproved})
	if err != nil {
		return nil, nil, err
	}
	if len(page.Cases) == 0 {
		s.say("No case is approved and waiting.")
		return nil, nil, nil
	}
	people := make([]*api.Person, len(page.Cases))
	for i, c := range page.Cases {
		if people[i], err = client.Person(ctx, c.Person); err != nil {
			return nil, nil, err
		}
		s.say(fmt.Sprintf("%3d  %s  %s %s  approved by %s", i+1, c.Person, people[i].Given, people[i].Family, approver(c)))
	}
	for {
		answer, err := s.ask("Which one? (number, or q to stop) ")
		if err != nil || answer == "q" {
			return nil, nil, err
		}
		if n, err := strconv.Atoi(answer); err == nil && n >= 1 && n <= len(page.Cases) {
			return &page.Cases[n-1], people[n-1], nil
		}
		s.say("There is no such number.")
	}
}

func approver(c api.Case) string {
	if c.Approved == nil {
		return "nobody"
	}
	return c.Approved.By
}

// serveCase puts the pair on the card and, if the holder is here, hands it over.
func (s *station) serveCase(ctx context.Context, client *api.Client, chosen *api.Case, person *api.Person) error {
	var err error
	if s.where.reader == "" {
		s.where.file, err = s.ask("File of the card: ")
	} else {
		_, err = s.ask("Put the card into the reader and press Enter. ")
	}
	if err != nil {
		return err
	}
	return s.issueTo(ctx, client, making{algorithm: card.P256}, issuing{chosen, func() (bool, error) {
		answer, err := s.ask(fmt.Sprintf("Does %s %s stand here, and take the card? (y/n) ", person.Given, person.Family))
		return answer == "y", err
	}})
}
