package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"cardinal/issuance/api"
)

func cardCommand(a *app) *cobra.Command {
	d := &desk{a: a}
	return d.flags(parent("card", "Issue cards and keep them in order", "  cardinal card list --person 900000000017",
		cardIssue(d),
		cardVerb(d, "handover", "Make an issued card its holder's", (*api.Client).HandOver),
		cardStop(d, api.OrderSuspend, "Put both certificates of cards on hold"),
		cardStop(d, api.OrderResume, "End suspensions"),
		cardRenew(d), cardReplace(d),
		cardStop(d, api.OrderCancel, "End cards for good"),
		ordersCommand(d), breakGlassCommand(d),
		cardShow(d), cardList(d)))
}

func cardVerb(d *desk, verb, short string, do func(*api.Client, context.Context, string, api.Reason) (*api.CardWritten, error)) *cobra.Command {
	var why api.Reason
	c := d.command(deskCommand{use: verb + " CARD", short: short, args: cobra.ExactArgs(1), example: "cardinal card " + verb + " CARD",
		ask: func(ctx context.Context, c *api.Client, args []string) error {
			answer, err := do(c, ctx, args[0], why)
			return d.wrote(answer, err)
		}})
	c.Flags().StringVar(&why.Reason, "reason", "", "why")
	return c
}

func cardReplace(d *desk) *cobra.Command {
	var how api.CancelCard
	var since string
	c := d.command(deskCommand{use: "replace CARD", short: "Cancel a card and open the case for its successor", args: cobra.ExactArgs(1), example: "cardinal card replace CARD --reason lost",
		ask: func(ctx context.Context, c *api.Client, args []string) (err error) {
			if how.Since, err = parseSince(since); err != nil {
				return err
			}
			answer, err := c.Replace(ctx, args[0], how)
			return d.wrote(answer, err)
		}})
	// A card that is replaced was cancelled before for a reason, or is superseded: no reason is required.
	endFlags(c, &how)
	c.Flags().StringVar(&since, "since", "", "when a key may have been in other hands, RFC 3339 (RFC 5280 §5.3.2)")
	return c
}

func cardIssue(d *desk) *cobra.Command {
	k := &keysFrom{d: d}
	c := d.command(deskCommand{use: "issue CASE", short: "Issue the approved case's pair", args: cobra.ExactArgs(1),
		example: "cardinal card issue CASE --request-id desk-1-0001 --auth-csr auth.csr --sign-csr sign.csr --out pair",
		ask: func(ctx context.Context, c *api.Client, args []string) error {
			return k.ask(enrolment{subject: args[0],
				ask: func(r *api.PairRequest) (*api.Issued, error) { return c.Issue(ctx, args[0], *r) }})
		}})
	k.flags(c)
	return c
}

func cardRenew(d *desk) *cobra.Command {
	k := &keysFrom{d: d}
	c := d.command(deskCommand{use: "renew CARD", short: "Put a new pair on the same card and end the old one", args: cobra.ExactArgs(1),
		example: "cardinal card renew CARD --request-id desk-1-0002 --simulated alex.card",
		ask: func(ctx context.Context, c *api.Client, args []string) error {
			if d.own.is(k.simulated) { // it signs in with the key that is about to go: the connection must stand by then
				if _, err := c.Card(ctx, args[0]); err != nil {
					return err
				}
			}
			return k.ask(enrolment{subject: args[0], renewing: true,
				ask: func(r *api.PairRequest) (*api.Issued, error) { return c.Renew(ctx, args[0], *r) }})
		}})
	k.flags(c)
	return c
}

func cardShow(d *desk) *cobra.Command {
	return d.command(deskCommand{use: "show CARD", short: "Show a card with its history", args: cobra.ExactArgs(1), example: "cardinal card show CARD",
		ask: func(ctx context.Context, c *api.Client, args []string) error {
			card, err := c.Card(ctx, args[0])
			return shown(d, card, err, func(w io.Writer, card *api.Card) {
				row(w, "card", card.ID)
				row(w, "person", card.Person)
				row(w, "case", card.Case)
				row(w, "state", card.State+" "+card.Reason)
				row(w, "pair", card.Pair)
				row(w, "authentication", card.Serials.Authentication)
				row(w, "signature", card.Serials.Signature)
				row(w, "valid", card.NotBefore.Format(time.RFC3339)+" to "+card.NotAfter.Format(time.RFC3339))
				row(w, "renewal from", card.RenewFrom.Format(time.RFC3339))
				for _, e := range card.Events {
					row(w, e.Verb, e.To+" "+decision(e.Decision))
				}
			})
		}})
}

func cardList(d *desk) *cobra.Command {
	var filter api.CardFilter
	c := d.command(deskCommand{use: "list", short: "List cards by number", args: cobra.NoArgs, example: "cardinal card list --state active",
		ask: func(ctx context.Context, c *api.Client, _ []string) error {
			page, err := c.Cards(ctx, filter)
			return shown(d, page, err, func(w io.Writer, page *api.CardPage) {
				row(w, "CARD", "PERSON", "STATE", "PAIR", "ENDS")
				for _, k := range page.Cards {
					row(w, k.ID, k.Person, k.State, k.Pair, k.NotAfter.Format(time.DateOnly))
				}
				more(w, page.Next)
			})
		}})
	c.Flags().StringVar(&filter.Person, "person", "", "12-digit number")
	c.Flags().StringVar(&filter.State, "state", "", "issued, active, suspended, cancelled, replaced or expired")
	pageFlags(c, &filter.After, &filter.Limit)
	return c
}
