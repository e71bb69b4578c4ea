package main

import (
	"errors"

	"github.com/spf13/cobra"

	"cardinal/issuance/card"
)

func pinCommand(s *station) *cobra.Command {
	parent := &cobra.Command{Use: "pin", Short: "Change or unblock a card's PIN", Args: cobra.NoArgs,
		Example: "  station pin change --card alex.card", RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	change := &cobra.Command{Use: "change", Short: "Change the PIN, knowing it", Args: cobra.NoArgs, Example: "  station pin change --card alex.card",
		RunE: func(*cobra.Command, []string) error {
			return failing("pin change", s.newPIN("Present PIN: ", card.Card.ChangePIN))
		}}
	unblock := &cobra.Command{Use: "unblock", Short: "Give a new PIN, knowing the PUK", Args: cobra.NoArgs, Example: "  station pin unblock --card alex.card",
		RunE: func(*cobra.Command, []string) error {
			return failing("pin unblock", s.newPIN("PUK: ", card.Card.Unblock))
		}}
	parent.AddCommand(s.cardFlags(change), s.cardFlags(unblock))
	return parent
}

var errPINsDiffer = errors.New("the two PINs differ")

func (s *station) newPIN(prompt string, set func(c card.Card, known, new string) error) (err error) {
	inserted, err := s.insert()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, inserted.Close()) }()
	known, err := s.pin(prompt)
	if err != nil {
		return err
	}
	first, err := s.secret("New PIN: ")
	if err != nil {
		return err
	}
	second, err := s.secret("Once more: ")
	if err != nil {
		return err
	}
	if first != second {
		return usage("pin", errPINsDiffer)
	}
	return set(inserted, known, first)
}
