package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"cardinal/issuance/api"
)

func caseCommand(a *app) *cobra.Command {
	d := &desk{a: a}
	return d.flags(parent("case", "One person's way to a card: requested, approved, issued, handed over", "  cardinal case list --state requested",
		caseRequest(d),
		caseDecision(d, "approve", "The sponsor's yes", (*api.Client).ApproveCase),
		caseDecision(d, "refuse", "The sponsor's no", (*api.Client).RefuseCase),
		caseList(d), caseShow(d)))
}

func caseRequest(d *desk) *cobra.Command {
	var n api.NewCase
	c := d.command(deskCommand{use: "request", short: "Ask for a card for a person", args: cobra.NoArgs, example: "cardinal case request --person 900000000017",
		ask: func(ctx context.Context, c *api.Client, _ []string) error {
			answer, err := c.RequestCase(ctx, n)
			return d.wrote(answer, err)
		}})
	c.Flags().StringVar(&n.Person, "person", "", "12-digit number")
	c.Flags().StringVar(&n.Reason, "reason", "", "why")
	require(c, "person")
	return c
}

func caseDecision(d *desk, verb, short string, decide func(*api.Client, context.Context, string, api.Reason) (*api.CaseWritten, error)) *cobra.Command {
	var why api.Reason
	c := d.command(deskCommand{use: verb + " CASE", short: short, args: cobra.ExactArgs(1), example: "cardinal case " + verb + " CASE --as operators/sponsor.p12",
		ask: func(ctx context.Context, c *api.Client, args []string) error {
			answer, err := decide(c, ctx, args[0], why)
			return d.wrote(answer, err)
		}})
	c.Flags().StringVar(&why.Reason, "reason", "", "why")
	return c
}

func caseList(d *desk) *cobra.Command {
	var filter api.CaseFilter
	c := d.command(deskCommand{use: "list", short: "List cases, oldest first", args: cobra.NoArgs, example: "cardinal case list --state requested",
		ask: func(ctx context.Context, c *api.Client, _ []string) error {
			page, err := c.Cases(ctx, filter)
			return shown(d, page, err, func(w io.Writer, page *api.CasePage) {
				row(w, "CASE", "PERSON", "KIND", "STATE", "REQUESTED")
				for _, k := range page.Cases {
					row(w, k.ID, k.Person, k.Kind, k.State, decision(k.Requested))
				}
				more(w, page.Next)
			})
		}})
	c.Flags().StringVar(&filter.Person, "person", "", "12-digit number")
	c.Flags().StringVar(&filter.State, "state", "", "requested, approved, refused, issued, handed-over or withdrawn")
	pageFlags(c, &filter.After, &filter.Limit)
	return c
}

func caseShow(d *desk) *cobra.Command {
	return d.command(deskCommand{use: "show CASE", short: "Show a case with every decision", args: cobra.ExactArgs(1), example: "cardinal case show CASE",
		ask: func(ctx context.Context, c *api.Client, args []string) error {
			k, err := c.Case(ctx, args[0])
			return shown(d, k, err, func(w io.Writer, k *api.Case) {
				row(w, "case", k.ID)
				row(w, "person", k.Person)
				row(w, "kind", k.Kind)
				row(w, "state", k.State)
				row(w, "card", k.Card)
				row(w, "requested", decision(k.Requested))
				for _, did := range []struct {
					what string
					by   *api.Decision
				}{{"approved", k.Approved}, {"refused", k.Refused}, {"issued", k.Issued}, {"handed over", k.HandedOver}, {"withdrawn", k.Withdrawn}} {
					if did.by != nil {
						row(w, did.what, decision(*did.by))
					}
				}
			})
		}})
}

func decision(d api.Decision) string {
	text := fmt.Sprintf("by %s as %s at %s", d.By, d.Role, d.At.Format(time.RFC3339))
	if d.Reason != "" {
		text += ": " + d.Reason
	}
	return text
}

func pageFlags(c *cobra.Command, after *string, limit *int) {
	c.Flags().StringVar(after, "after", "", "go on after this one")
	c.Flags().IntVar(limit, "limit", 0, "how many, 1 to 200 (default 100)")
}

func more(w io.Writer, next string) {
	if next != "" {
		row(w, "more: --after "+next)
	}
}

// require marks flags that must be given.
func require(c *cobra.Command, flags ...string) {
	for _, f := range flags {
		if err := c.MarkFlagRequired(f); err != nil {
			panic(err) // a flag this file just declared
		}
	}
}
