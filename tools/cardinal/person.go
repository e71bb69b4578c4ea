package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"cardinal/issuance/api"
)

func personCommand(a *app) *cobra.Command {
	d := &desk{a: a}
	return d.flags(parent("person", "Register and look up people", "  cardinal person list --family Example",
		personAdd(d), personShow(d), personList(d), personUpdate(d)))
}

func personAdd(d *desk) *cobra.Command {
	var p api.NewPerson
	var evidence, photo string
	c := d.command(deskCommand{use: "add", short: "Register somebody; prints the number the system chose", args: cobra.NoArgs,
		example: "cardinal person add --given Alex --family Example --birth 1980-02-29 --evidence documents.json --photo alex.jpg --as operators/manager.p12",
		ask: func(ctx context.Context, c *api.Client, _ []string) (err error) {
			if err := readEvidence(evidence, &p.Evidence); err != nil {
				return err
			}
			if p.Photo, err = readPhoto(photo); err != nil {
				return err
			}
			answer, err := c.AddPerson(ctx, p)
			return d.wrote(answer, err)
		}})
	f := c.Flags()
	f.StringVar(&p.Title, "title", "", "title")
	f.StringVar(&p.Given, "given", "", "given name")
	f.StringVar(&p.Middle, "middle", "", "middle names")
	f.StringVar(&p.Family, "family", "", "family name")
	f.StringVar(&p.Birth, "birth", "", "date of birth, YYYY-MM-DD")
	f.StringVar(&p.Mail, "mail", "", "mail address")
	f.StringVar(&p.Phone, "phone", "", "telephone number")
	f.StringVar(&p.UPN, "upn", "", "user principal name for the authentication certificate")
	f.StringVar(&evidence, "evidence", "", `JSON file of the documents seen: {"documents":[{"kind","number","photo","address","expires"}]}`)
	f.StringVar(&photo, "photo", "", "JPEG or PNG file")
	f.StringSliceVar(&p.DistinctFrom, "distinct-from", nil, "numbers of namesakes who are somebody else")
	require(c, "given", "family", "birth", "evidence", "photo")
	return c
}

func personShow(d *desk) *cobra.Command {
	return d.command(deskCommand{use: "show UUID", short: "Show one person", args: cobra.ExactArgs(1), example: "cardinal person show 900000000017",
		ask: func(ctx context.Context, c *api.Client, args []string) error {
			p, err := c.Person(ctx, args[0])
			return shown(d, p, err, func(w io.Writer, p *api.Person) {
				row(w, "number", p.UUID)
				row(w, "name", strings.Join(strings.Fields(p.Title+" "+p.Given+" "+p.Middle+" "+p.Family), " "))
				row(w, "birth", p.Birth)
				row(w, "mail", p.Mail)
				row(w, "status", p.Status)
				row(w, "on record", p.OnRecord)
				for _, doc := range p.Documents {
					row(w, "document", doc.Kind+" "+doc.Number)
				}
				if p.Registered != nil {
					row(w, "registered", decision(*p.Registered))
				}
			})
		}})
}

func personList(d *desk) *cobra.Command {
	var filter api.PersonFilter
	c := d.command(deskCommand{use: "list", short: "List people on record, by number", args: cobra.NoArgs, example: "cardinal person list --family Example",
		ask: func(ctx context.Context, c *api.Client, _ []string) error {
			page, err := c.Persons(ctx, filter)
			return shown(d, page, err, func(w io.Writer, page *api.PersonPage) {
				row(w, "NUMBER", "FAMILY", "GIVEN", "BIRTH", "STATUS")
				for _, p := range page.Persons {
					row(w, p.UUID, p.Family, p.Given, p.Birth, p.Status)
				}
				more(w, page.Next)
			})
		}})
	c.Flags().StringVar(&filter.Family, "family", "", "family name")
	pageFlags(c, &filter.After, &filter.Limit)
	return c
}

func personUpdate(d *desk) *cobra.Command {
	var n api.NewPerson
	var status, reason, evidence, photo string
	var c *cobra.Command
	c = d.command(deskCommand{use: "update UUID", short: "Change what is given; --status closed ends every position, case and card", args: cobra.ExactArgs(1),
		example: "cardinal person update 900000000017 --mail alex@example.org",
		ask: func(ctx context.Context, client *api.Client, args []string) (err error) {
			change := api.PersonChange{Reason: reason, Title: given(c, "title", n.Title), Given: given(c, "given", n.Given), Middle: given(c, "middle", n.Middle),
				Family: given(c, "family", n.Family), Birth: given(c, "birth", n.Birth), Mail: given(c, "mail", n.Mail), Phone: given(c, "phone", n.Phone),
				UPN: given(c, "upn", n.UPN), Status: given(c, "status", status)}
			if evidence != "" {
				change.Evidence = &api.Evidence{}
				if err := readEvidence(evidence, change.Evidence); err != nil {
					return err
				}
			}
			if photo != "" {
				if change.Photo, err = readPhoto(photo); err != nil {
					return err
				}
			}
			answer, err := client.UpdatePerson(ctx, args[0], change)
			return d.wrote(answer, err)
		}})
	for name, to := range map[string]*string{"title": &n.Title, "given": &n.Given, "middle": &n.Middle, "family": &n.Family, "birth": &n.Birth, "mail": &n.Mail, "phone": &n.Phone, "upn": &n.UPN} {
		c.Flags().StringVar(to, name, "", "new "+name)
	}
	c.Flags().StringVar(&status, "status", "", "active or closed")
	c.Flags().StringVar(&reason, "reason", "", "why")
	c.Flags().StringVar(&evidence, "evidence", "", "JSON file of documents, needed for a change of name")
	c.Flags().StringVar(&photo, "photo", "", "JPEG or PNG file")
	return c
}

// given is the flag's value when it was set, so that an empty one can be said.
func given(c *cobra.Command, flag, value string) *string {
	if !c.Flags().Changed(flag) {
		return nil
	}
	return &value
}

func readEvidence(path string, to *api.Evidence) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return usage("reading the evidence", err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return usage("reading the evidence "+path, err)
	}
	return nil
}

func readPhoto(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, usage("reading the photo", err)
	}
	return data, nil
}
