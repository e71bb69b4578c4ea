package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"cardinal/issuance/api"
)

func caCommand(a *app) *cobra.Command {
	d := &desk{a: a}
	list := d.command(deskCommand{use: "list", short: "List the CAs of this installation", args: cobra.NoArgs, example: "cardinal ca list --json",
		ask: func(ctx context.Context, c *api.Client, _ []string) error {
			issuers, err := c.Issuers(ctx)
			return shown(d, issuers, err, func(w io.Writer, l *api.IssuerList) {
				row(w, "NAME", "SUBJECT", "SERIAL", "SHARDS", "ENDS", "STAGE")
				for _, i := range l.Issuers {
					row(w, i.Name, i.Subject, i.Serial, i.Shards, i.NotAfter.Format(time.DateOnly), stageOf(i.Starts, i.Stopped, i.How, a.now()))
				}
			})
		}})
	return parent("ca", "The certification authorities and their generations", "  cardinal ca list", d.flags(list),
		ceremonyCommand(a), rolloverCommand(a), startCommand(a), crossSignCommand(a), revokeIssuerCommand(a), retireCommand(a))
}
