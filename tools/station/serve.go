package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"cardinal/issuance/card"
)

func cardCommand(s *station) *cobra.Command {
	parent := &cobra.Command{Use: "card", Short: "Make simulated cards and put them into readers", Args: cobra.NoArgs,
		Example: "  station card create alex.card", RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	parent.AddCommand(createCommand(s), serveCommand(s))
	return parent
}

func createCommand(s *station) *cobra.Command {
	var o card.Options
	var root string
	c := &cobra.Command{Use: "create FILE", Short: "Make a simulated card", Args: cobra.ExactArgs(1),
		Example: "  station card create alex.card --attestation-root simulator.pem",
		RunE: func(_ *cobra.Command, args []string) error {
			return failing("card create", s.createCard(args[0], root, o))
		}}
	c.Flags().Uint32Var(&o.Serial, "serial", 0, "serial number (default: drawn at random)")
	c.Flags().StringVar(&root, "attestation-root", "", "file of the root that attests simulated cards (default: one of the card's own)")
	return c
}

var errCardExists = errors.New("there is a card already")

func (s *station) createCard(path, root string, o card.Options) (err error) {
	if c, err := card.OpenSimulated(path, card.Options{}); err == nil {
		return errors.Join(wrong(path, errCardExists), c.Close())
	} else if !errors.Is(err, card.ErrNoCard) {
		return err
	}
	if root != "" {
		if o.Root, err = card.ReadAttestationRoot(root); err != nil {
			return err
		}
	}
	o.Create = true
	c, err := card.OpenSimulated(path, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	serial, err := c.Serial()
	if err != nil {
		return err
	}
	return s.print(map[string]string{"serial": serial}, [][2]string{{"serial", serial}})
}

func serveCommand(s *station) *cobra.Command {
	var file, address string
	c := &cobra.Command{Use: "serve --file FILE --vpcd ADDRESS", Short: "Put a simulated card into vsmartcard's virtual reader, until interrupted", Args: cobra.NoArgs,
		Example: "  station card serve --file alex.card --vpcd 127.0.0.1:35963",
		RunE: func(c *cobra.Command, _ []string) error {
			return failing("card serve", s.serveCard(c.Context(), file, address))
		}}
	c.Flags().StringVar(&file, "file", "", "the card")
	c.Flags().StringVar(&address, "vpcd", "127.0.0.1:35963", "where the virtual reader listens")
	_ = c.MarkFlagRequired("file")
	return c
}

func (s *station) serveCard(ctx context.Context, file, address string) (err error) {
	applet, err := card.OpenApplet(file, card.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, applet.Close()) }()
	s.say(fmt.Sprintf("%s is in the reader at %s", file, address))
	return card.ServeReader(ctx, address, applet)
}
