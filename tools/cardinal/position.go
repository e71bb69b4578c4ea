package main

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"cardinal/issuance/api"
)

func positionCommand(a *app) *cobra.Command {
	d := &desk{a: a}
	return d.flags(parent("position", "Give and end roles in organisations", "  cardinal position list --person 900000000017",
		positionAdd(d), positionClose(d), positionList(d)))
}

func positionAdd(d *desk) *cobra.Command {
	var p api.NewPosition
	var person string
	c := d.command(deskCommand{use: "add", short: "Give a person a role in an organisation", args: cobra.NoArgs,
		example: `cardinal position add --person 900000000017 --organisation X99 --name "EXAMPLE NHS TRUST" --role-code S8000:G8000:R8000 --role '"Clinical":"Clinical Provision":"Clinical Practitioner Access Role"'`,
		ask: func(ctx context.Context, c *api.Client, _ []string) error {
			answer, err := c.AddPosition(ctx, person, p)
			return d.wrote(answer, err)
		}})
	f := c.Flags()
	f.StringVar(&person, "person", "", "12-digit number")
	f.StringVar(&p.Organisation, "organisation", "", "ODS code")
	f.StringVar(&p.OrganisationName, "name", "", "organisation's name")
	f.StringVar(&p.JobRoleCode, "role-code", "", "job role code, S8000:G8000:R8000 or its last part")
	f.StringVar(&p.JobRole, "role", "", "job role in words")
	f.StringSliceVar(&p.Activities, "activity", nil, "business function codes")
	f.StringSliceVar(&p.AreasOfWork, "area", nil, "area of work codes")
	f.StringSliceVar(&p.Workgroups, "workgroup", nil, "workgroup ids")
	f.StringVar(&p.Opens, "opens", "", "first day, YYYY-MM-DD (default: today)")
	f.StringVar(&p.Closes, "closes", "", "first day without the role, YYYY-MM-DD")
	require(c, "person", "organisation", "role-code")
	return c
}

func positionClose(d *desk) *cobra.Command {
	var person string
	var how api.ClosePosition
	c := d.command(deskCommand{use: "close POSITION", short: "End a role", args: cobra.ExactArgs(1),
		example: "cardinal position close 900000000033 --person 900000000017",
		ask: func(ctx context.Context, c *api.Client, args []string) error {
			answer, err := c.ClosePosition(ctx, person, args[0], how)
			return d.wrote(answer, err)
		}})
	c.Flags().StringVar(&person, "person", "", "12-digit number")
	c.Flags().StringVar(&how.Closes, "closes", "", "first day without the role, YYYY-MM-DD (default: today)")
	c.Flags().StringVar(&how.Reason, "reason", "", "why")
	require(c, "person")
	return c
}

func positionList(d *desk) *cobra.Command {
	var person string
	c := d.command(deskCommand{use: "list", short: "List a person's roles, closed ones too", args: cobra.NoArgs,
		example: "cardinal position list --person 900000000017",
		ask: func(ctx context.Context, c *api.Client, _ []string) error {
			list, err := c.Positions(ctx, person)
			return shown(d, list, err, func(w io.Writer, list *api.PositionList) {
				row(w, "POSITION", "ORGANISATION", "ROLE", "ACTIVE", "FROM", "TO", "AT THE DESK")
				for _, p := range list.Positions {
					row(w, p.ID, p.Organisation, p.JobRoleCode, p.Active, p.Opens, p.Closes, strings.Join(p.Roles, ","))
				}
			})
		}})
	c.Flags().StringVar(&person, "person", "", "12-digit number")
	require(c, "person")
	return c
}
