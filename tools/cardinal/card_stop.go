package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cardinal/issuance/api"
)

// stopping is suspend, resume or cancel: which cards, why, and how to go about it.
type stopping struct {
	d     *desk
	order api.NewOrder
	end   api.CancelCard // of cancel
	since string

	persons, serials []string
	file             string
	fields           cardFields
	dryRun, detach   bool
	wait             waiting
}

// cardFields are the fields of a filter that have flags of their own.
type cardFields struct {
	state, organisation, issuer, role            string
	issuedFrom, issuedUntil, endsFrom, endsUntil string
}

// filter joins what was given with a filter in words.
func (f cardFields) filter(text string) string {
	var parts []string
	for _, field := range []struct{ name, compare, value string }{
		{"state", "=", f.state}, {"nhsIDCode", "=", f.organisation}, {"nhsJobRoleCode", "=", f.role}, {"issuer", "=", f.issuer},
		{"issued", ">=", f.issuedFrom}, {"issued", "<=", f.issuedUntil}, {"ends", ">=", f.endsFrom}, {"ends", "<=", f.endsUntil},
	} {
		if field.value != "" {
			parts = append(parts, "("+field.name+field.compare+escapeFilter(field.value)+")")
		}
	}
	if text != "" {
		parts = append(parts, text)
	}
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return "(&" + strings.Join(parts, "") + ")"
}

// escapeFilter writes a value so that it stands for itself (RFC 4515 §3).
func escapeFilter(value string) string {
	return strings.NewReplacer(`\`, `\5c`, `*`, `\2a`, `(`, `\28`, `)`, `\29`, "\x00", `\00`).Replace(value)
}

const stopHelp = `Cards are chosen by their number, their holder's, or the serial of a certificate (arguments, --person,
--serial, or a file with one a line), or by --filter and the fields beside it. One card is done at once.
More are an order, which goes on by itself when this command ends; above 100 cards, and when more than one
card is resumed, another administrator confirms it (cardinal card orders confirm).

A filter (RFC 4515) compares card, person, state, reason, issued, ends, issuer, serial, case and replaces
of the card, and every other attribute with the holder's entries.`

func cardStop(d *desk, verb, short string) *cobra.Command {
	s := &stopping{d: d}
	s.order.Verb = verb
	c := d.command(deskCommand{use: verb + " [CARD|PERSON|SERIAL]…", short: short, args: cobra.ArbitraryArgs, example: "cardinal card " + stopExample(verb), ask: s.run})
	c.Long = short + ".\n\n" + stopHelp
	f := c.Flags()
	f.StringArrayVar(&s.persons, "person", nil, "the card of the person with this 12-digit number (may be given again)")
	f.StringArrayVar(&s.serials, "serial", nil, "the card that has, or had, the certificate with this serial in hex (may be given again)")
	f.StringVar(&s.file, "file", "", "file of cards, persons or serials, one a line; - for standard input")
	f.StringVar(&s.order.Filter, "filter", "", "filter over cards and their holders")
	f.StringVar(&s.fields.state, "state", "", "only cards in this state")
	f.StringVar(&s.fields.organisation, "organisation", "", "only holders in the organisation with this code")
	f.StringVar(&s.fields.role, "role-code", "", "only holders with this job role code")
	f.StringVar(&s.fields.issuer, "issuer", "", "only cards with a certificate of the CA with this name")
	f.StringVar(&s.fields.issuedFrom, "issued-from", "", "only pairs issued on or after this day (2017-11-03) or time")
	f.StringVar(&s.fields.issuedUntil, "issued-until", "", "only pairs issued until this day or time")
	f.StringVar(&s.fields.endsFrom, "ends-from", "", "only pairs that end on or after this day or time")
	f.StringVar(&s.fields.endsUntil, "ends-until", "", "only pairs that end until this day or time")
	f.BoolVar(&s.dryRun, "dry-run", false, "show what it would do and what verifiers would make of it, and do nothing")
	f.BoolVar(&s.detach, "detach", false, "do not watch an order until it ends")
	f.StringVar(&s.order.RequestID, "request-id", "", "name of this order; the same again is the same order (default: a new one)")
	s.wait.flags(c)
	switch verb {
	case api.OrderCancel:
		endFlags(c, &s.end)
		require(c, "reason")
	default:
		f.StringVar(&s.order.Note, "reason", "", "why")
	}
	if verb == api.OrderResume {
		f.StringVar(&s.order.Undoes, "undo", "", "what this order suspended, while its time to be undone lasts")
	} else {
		f.StringVar(&s.since, "since", "", "when a key may have been in other hands, RFC 3339 (RFC 5280 §5.3.2)")
	}
	return c
}

func stopExample(verb string) string {
	return map[string]string{
		api.OrderSuspend: "suspend --organisation X99 --issued-from 2014-10-16 --issued-until 2017-10-25 --dry-run",
		api.OrderResume:  "resume --file renewed.txt",
		api.OrderCancel:  "cancel --person 900000000017 --reason lost --wait",
	}[verb]
}

// endFlags are those of what ends a card for good.
func endFlags(c *cobra.Command, how *api.CancelCard) {
	c.Flags().StringVar(&how.Reason, "reason", "", "lost, stolen, damaged, left, superseded or compromised")
	c.Flags().StringVar(&how.Note, "note", "", "what happened")
	c.Flags().BoolVar(&how.PasscodeKnown, "passcode-known", false, "somebody else may know the passcode")
	c.Flags().BoolVar(&how.SignaturesFall, "signatures-fall", false, "it is known and meant that what the card signed before counts no longer")
}

func parseSince(text string) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, usage("--since", err)
	}
	return &at, nil
}

var errNothingChosen = errors.New("says no card: give CARD, --person, --serial, --file or --filter")

func (s *stopping) run(ctx context.Context, c *api.Client, args []string) (err error) {
	if s.order.Since, err = parseSince(s.since); err != nil {
		return err
	}
	if s.order.Verb == api.OrderCancel {
		s.end.Since = s.order.Since
		s.order.Reason, s.order.Note, s.order.PasscodeKnown, s.order.SignaturesFall = s.end.Reason, s.end.Note, s.end.PasscodeKnown, s.end.SignaturesFall
	}
	if err := s.choose(args); err != nil {
		return err
	}
	if s.dryRun {
		plan, err := c.PlanOrder(ctx, s.order)
		return shown(s.d, plan, err, planText)
	}
	alone := len(s.order.Names) == 1 && s.order.Filter == "" && s.order.Undoes == ""
	if alone && (s.order.Since == nil || s.order.Verb == api.OrderCancel) {
		return s.one(ctx, c)
	}
	if s.order.RequestID == "" {
		s.order.RequestID = "cli-" + rand.Text()
	}
	o, err := s.place(ctx, c)
	if err != nil {
		return err
	}
	return (&followed{d: s.d, detach: s.detach, wait: s.wait}).order(ctx, c, o)
}

// choose gathers names and filter.
func (s *stopping) choose(args []string) error {
	s.order.Names = slices.Concat(args, s.persons, s.serials)
	if s.file != "" {
		lines, err := s.lines()
		if err != nil {
			return usage("--file "+s.file, err)
		}
		s.order.Names = append(s.order.Names, lines...)
	}
	s.order.Filter = s.fields.filter(s.order.Filter)
	if len(s.order.Names) == 0 && s.order.Filter == "" && s.order.Undoes == "" {
		return usage("card "+s.order.Verb, errNothingChosen)
	}
	return nil
}

// lines reads names, one a line, with # for remarks.
func (s *stopping) lines() ([]string, error) {
	in := s.d.a.in
	if s.file != "-" {
		f, err := os.Open(s.file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	var all []string
	for lines := bufio.NewScanner(in); ; {
		if !lines.Scan() {
			return all, lines.Err()
		}
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
}

// one does a single card at once. By another name than its own it is looked up
// first.
func (s *stopping) one(ctx context.Context, c *api.Client) error {
	card := s.order.Names[0]
	if !strings.HasPrefix(card, "C") {
		plan, err := c.PlanOrder(ctx, s.order)
		if err != nil {
			return err
		}
		card = plan.Sample[0].Card
	}
	var answer *api.CardWritten
	var err error
	switch s.order.Verb {
	case api.OrderSuspend:
		answer, err = c.Suspend(ctx, card, api.Reason{Reason: s.order.Note})
	case api.OrderResume:
		answer, err = c.Resume(ctx, card, api.Reason{Reason: s.order.Note})
	default:
		answer, err = c.Cancel(ctx, card, s.end)
	}
	if err := s.d.wrote(answer, err); err != nil {
		return err
	}
	return s.wait.until(ctx, s.d.a, c, answer.Position)
}

// placeTries is how often an order is placed anew when the answer did not come:
// a server that starts again takes seconds.
const placeTries = 30

// place asks until there is an answer: the same request id is the same order.
func (s *stopping) place(ctx context.Context, c *api.Client) (*api.Order, error) {
	for try := 1; ; try++ {
		o, err := c.PlaceOrder(ctx, s.order)
		var lost *api.Unreachable
		if !errors.As(err, &lost) || try == placeTries || ctx.Err() != nil {
			return o, err
		}
		s.d.a.say("no answer; asking again as %s", s.order.RequestID)
		if err := pause(ctx, time.Second); err != nil {
			return nil, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func planText(w io.Writer, p *api.OrderPlan) {
	row(w, "would "+p.Verb, p.Would, "cards", 2*p.Would, "certificates")
	for rule, n := range p.Leaves {
		row(w, "leaves", n, "("+rule+")")
	}
	if p.Spared > 0 {
		row(w, "break-glass", p.Spared, "cards of the set stay as they are")
	}
	if p.Short {
		row(w, "refused", fmt.Sprintf("only %d break-glass cards are active", p.BreakGlass))
	}
	if p.Second {
		row(w, "confirmation", "by another administrator")
	}
	if p.Own {
		row(w, "own card", "yours is among them")
	}
	row(w, "authentication", p.Becomes.Authentication.State+" "+p.Becomes.Authentication.Reason)
	row(w, "signature", p.Becomes.Signature.State+" "+p.Becomes.Signature.Reason)
	if p.Becomes.SignaturesFall {
		row(w, "signatures", "what the cards signed before counts no longer: --signatures-fall")
	}
	for _, v := range p.Verifiers {
		row(w, v.Verifier, v.Says)
	}
	for _, c := range p.Sample {
		row(w, c.Card, c.Person, c.State, c.Leaves)
	}
	if rest := p.Chosen - int64(len(p.Sample)); rest > 0 {
		row(w, "and", rest, "more")
	}
}
