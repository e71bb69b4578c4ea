package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"cardinal/certs"
	"cardinal/issuance/api"
)

func crlCommand(a *app) *cobra.Command {
	d := &desk{a: a}
	return d.flags(parent("crl", "Publish and look at certificate revocation lists", "  cardinal crl show", crlList(d), crlPublish(d), crlShow(d), crlVerify(a)))
}

func crlPublish(d *desk) *cobra.Command {
	var p api.PublishLists
	var shard int
	var c *cobra.Command
	c = d.command(deskCommand{use: "publish", short: "Have new lists signed now", args: cobra.NoArgs, example: "cardinal crl publish --issuer authentication --shard 3",
		ask: func(ctx context.Context, client *api.Client, _ []string) error {
			if c.Flags().Changed("shard") {
				p.Shard = &shard
			}
			lists, err := client.PublishLists(ctx, p)
			return shown(d, lists, err, listTable)
		}})
	c.Flags().StringVar(&p.Issuer, "issuer", "", "root, authentication, signing or services (default: all whose key is here)")
	c.Flags().IntVar(&shard, "shard", 0, "one shard (default: all lists)")
	c.Flags().StringVar(&p.List, "list", "", "one list by its name in URLs: 0, 1, …, full, archive")
	return c
}

// crlList prints the newest list of each name.
func crlList(d *desk) *cobra.Command {
	return d.command(deskCommand{use: "list", short: "List the newest of every list", args: cobra.NoArgs, example: "cardinal crl list --json",
		ask: func(ctx context.Context, c *api.Client, _ []string) error {
			lists, err := c.Lists(ctx)
			return shown(d, lists, err, listTable)
		}})
}

// crlShow prints a list from a file, or the newest of each over the API.
func crlShow(d *desk) *cobra.Command {
	ask := d.command(deskCommand{use: "show [FILE]", short: "Show the newest lists, or what one file holds", args: cobra.MaximumNArgs(1), example: "cardinal crl show authentication-3.crl",
		ask: func(ctx context.Context, c *api.Client, _ []string) error {
			lists, err := c.Lists(ctx)
			return shown(d, lists, err, listTable)
		}})
	overAPI := ask.RunE
	ask.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return showListFile(d.a, args[0])
		}
		return overAPI(cmd, args)
	}
	return ask
}

func listTable(w io.Writer, l *api.Lists) {
	row(w, "ISSUER", "LIST", "NUMBER", "THIS UPDATE", "NEXT UPDATE", "OCTETS", "IN GZIP")
	for _, x := range l.Lists {
		row(w, x.Issuer, x.List, x.Number, x.ThisUpdate.Format(time.RFC3339), x.NextUpdate.Format(time.RFC3339), x.Size, x.Packed)
	}
}

// listFile is a revocation list as printed with --json.
type listFile struct {
	Issuer     string      `json:"issuer"`
	Number     string      `json:"number"`
	ThisUpdate time.Time   `json:"this_update"`
	NextUpdate time.Time   `json:"next_update"`
	Revoked    []listEntry `json:"revoked"`
}

type listEntry struct {
	Serial string    `json:"serial"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

func showListFile(a *app, path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return usage("reading the list", err)
	}
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	}
	list, err := x509.ParseRevocationList(data)
	if err != nil {
		return wrong("reading the list "+path, err)
	}
	out := listFile{Issuer: list.Issuer.String(), ThisUpdate: list.ThisUpdate, NextUpdate: list.NextUpdate, Revoked: []listEntry{}}
	if list.Number != nil {
		out.Number = list.Number.String()
	}
	for _, e := range list.RevokedCertificateEntries {
		out.Revoked = append(out.Revoked, listEntry{Serial: e.SerialNumber.Text(16), At: e.RevocationTime, Reason: certs.Reason(e.ReasonCode).String()})
	}
	return a.print(out, func(w io.Writer) {
		row(w, "issuer", out.Issuer)
		row(w, "number", out.Number)
		row(w, "this update", out.ThisUpdate.Format(time.RFC3339))
		row(w, "next update", out.NextUpdate.Format(time.RFC3339))
		for _, e := range out.Revoked {
			row(w, e.Serial, e.At.Format(time.RFC3339)+" "+e.Reason)
		}
	})
}
