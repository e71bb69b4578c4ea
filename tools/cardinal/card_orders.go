package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cardinal/issuance/api"
)

func ordersCommand(d *desk) *cobra.Command {
	return parent("orders", "Orders on many cards: who asked, who confirmed, how far they are", "  cardinal card orders list --state awaiting",
		ordersList(d), ordersShow(d), ordersCards(d), ordersConfirm(d), ordersFollow(d), ordersUndo(d),
		orderSteer(d, "stop", "Halt an order after the block it is at", (*api.Client).StopOrder),
		orderSteer(d, "continue", "Have a stopped order go on", (*api.Client).ContinueOrder),
		orderSteer(d, "withdraw", "End an order that waits or was stopped; what it did stays done", (*api.Client).WithdrawOrder))
}

func ordersList(d *desk) *cobra.Command {
	var filter api.OrderFilter
	c := d.command(deskCommand{use: "list", short: "List orders, newest first", args: cobra.NoArgs, example: "cardinal card orders list",
		ask: func(ctx context.Context, c *api.Client, _ []string) error {
			page, err := c.Orders(ctx, filter)
			return shown(d, page, err, func(w io.Writer, page *api.OrderPage) {
				row(w, "ORDER", "VERB", "STATE", "CARDS", "DONE", "LEFT", "BY", "SECOND", "PLACED", "CHOICE")
				for _, o := range page.Orders {
					row(w, o.ID, o.Verb, o.State, o.Cards, o.Done, o.Left, o.By, o.Second, o.Placed.Format(time.RFC3339), o.Choice)
				}
				more(w, page.Next)
			})
		}})
	c.Flags().StringVar(&filter.State, "state", "", "preparing, awaiting, running, stopped, done, withdrawn or expired")
	pageFlags(c, &filter.After, &filter.Limit)
	return c
}

func ordersShow(d *desk) *cobra.Command {
	return d.command(deskCommand{use: "show ORDER", short: "Show an order with every decision", args: cobra.ExactArgs(1), example: "cardinal card orders show ORDER",
		ask: func(ctx context.Context, c *api.Client, args []string) error {
			o, err := c.Order(ctx, args[0])
			return shown(d, o, err, orderText)
		}})
}

func orderText(w io.Writer, o *api.Order) {
	row(w, "order", o.ID)
	row(w, "verb", o.Verb+" "+o.Reason)
	row(w, "state", o.State)
	row(w, "cards", fmt.Sprintf("%d chosen by %s", o.Cards, o.Choice))
	row(w, "done", fmt.Sprintf("%d, left %d, break-glass %d, to go %d", o.Done, o.Left, o.Spared, o.Cards-o.Taken))
	row(w, "content", o.Content)
	if o.Since != nil {
		row(w, "since", o.Since.Format(time.RFC3339))
	}
	if o.SignaturesFall {
		row(w, "signatures", "what the cards signed before counts no longer")
	}
	if o.Expires != nil {
		row(w, "expires", o.Expires.Format(time.RFC3339))
	}
	if o.UndoUntil != nil {
		row(w, "undo until", o.UndoUntil.Format(time.RFC3339))
	}
	if o.Started != nil && o.Ended != nil {
		row(w, "took", fmt.Sprintf("%.1f s, the journal's head held for at most %.0f ms", o.Ended.Sub(*o.Started).Seconds(), o.HeldMillis))
	}
	for _, s := range o.Decisions {
		row(w, s.Verb, s.To+" "+decision(s.Decision))
	}
}

func ordersCards(d *desk) *cobra.Command {
	var filter api.OrderCardFilter
	c := d.command(deskCommand{use: "cards ORDER", short: "List an order's cards with what became of them", args: cobra.ExactArgs(1), example: "cardinal card orders cards ORDER --left",
		ask: func(ctx context.Context, c *api.Client, args []string) error {
			page, err := c.OrderCards(ctx, args[0], filter)
			return shown(d, page, err, func(w io.Writer, page *api.OrderCardPage) {
				for _, k := range page.Cards {
					row(w, k.N, k.Card, k.Outcome)
				}
				more(w, page.Next)
			})
		}})
	c.Flags().BoolVar(&filter.Left, "left", false, "only those a rule left as they were")
	pageFlags(c, &filter.After, &filter.Limit)
	return c
}

// leastContent is how much of an order's content must be said to confirm it.
const leastContent = 12

var errContent = fmt.Errorf("want at least the first %d digits of the content that was looked at", leastContent)

func ordersConfirm(d *desk) *cobra.Command {
	var content string
	f := &followed{d: d}
	c := d.command(deskCommand{use: "confirm ORDER", short: "The second administrator's yes to exactly this content", args: cobra.ExactArgs(1),
		example: "cardinal card orders confirm ORDER --content 5c1d9f0e83aa --as second.card",
		ask: func(ctx context.Context, c *api.Client, args []string) error {
			if len(content) < leastContent {
				return usage("--content", errContent)
			}
			full := strings.ToLower(content)
			if len(full) < 64 {
				o, err := c.Order(ctx, args[0])
				if err != nil {
					return err
				}
				if strings.HasPrefix(o.Content, full) {
					full = o.Content
				}
				full += strings.Repeat("0", max(0, 64-len(full))) // another content: the server says so
			}
			o, err := c.ConfirmOrder(ctx, args[0], api.ConfirmOrder{Content: full})
			if err != nil {
				return err
			}
			return f.order(ctx, c, o)
		}})
	c.Flags().StringVar(&content, "content", "", "the order's content hash, or its first 12 digits or more")
	f.flags(c)
	require(c, "content")
	return c
}

func ordersFollow(d *desk) *cobra.Command {
	f := &followed{d: d}
	c := d.command(deskCommand{use: "follow ORDER", short: "Watch an order until it ends", args: cobra.ExactArgs(1), example: "cardinal card orders follow ORDER --wait",
		ask: func(ctx context.Context, c *api.Client, args []string) error {
			o, err := c.Order(ctx, args[0])
			if err != nil {
				return err
			}
			return f.order(ctx, c, o)
		}})
	f.flags(c)
	return c
}

func ordersUndo(d *desk) *cobra.Command {
	s := &stopping{d: d}
	c := d.command(deskCommand{use: "undo ORDER", short: "Resume what an order suspended and nobody has touched since, while its time to be undone lasts", args: cobra.ExactArgs(1), example: "cardinal card orders undo ORDER",
		ask: func(ctx context.Context, c *api.Client, args []string) error {
			s.order.Verb, s.order.Undoes = api.OrderResume, args[0]
			return s.run(ctx, c, nil)
		}})
	c.Flags().BoolVar(&s.dryRun, "dry-run", false, "show what it would do")
	c.Flags().BoolVar(&s.detach, "detach", false, "do not watch it until it ends")
	c.Flags().StringVar(&s.order.Note, "reason", "", "why")
	s.wait.flags(c)
	return c
}

func orderSteer(d *desk, verb, short string, do func(*api.Client, context.Context, string, api.Reason) (*api.Order, error)) *cobra.Command {
	var why api.Reason
	c := d.command(deskCommand{use: verb + " ORDER", short: short, args: cobra.ExactArgs(1), example: "cardinal card orders " + verb + " ORDER",
		ask: func(ctx context.Context, c *api.Client, args []string) error {
			o, err := do(c, ctx, args[0], why)
			return d.wrote(o, err)
		}})
	c.Flags().StringVar(&why.Reason, "reason", "", "why")
	return c
}

// followed is an order being watched.
type followed struct {
	d      *desk
	detach bool
	wait   waiting
}

func (f *followed) flags(c *cobra.Command) {
	c.Flags().BoolVar(&f.detach, "detach", false, "do not watch it until it ends")
	f.wait.flags(c)
}

// followEvery is how often an order that runs is looked at.
const followEvery = 250 * time.Millisecond

// order prints an order once it needs nothing more, or somebody else: what is
// confirmed is watched to its end, through restarts of the server. It goes on
// without this command, too.
func (f *followed) order(ctx context.Context, c *api.Client, o *api.Order) error {
	if o.Spared > 0 {
		f.d.a.say("left out: %d break-glass cards", o.Spared)
	}
	if o.State == api.OrderAwaiting {
		f.d.a.say("order %s on %d cards awaits another administrator: cardinal card orders confirm %s --content %.12s", o.ID, o.Cards, o.ID, o.Content)
	}
	if o.State != api.OrderRunning || f.detach {
		return f.d.wrote(o, nil)
	}
	o, err := f.run(ctx, c, o)
	if err := f.d.wrote(o, err); err != nil {
		return err
	}
	if o.State != api.OrderDone {
		return refused("order "+o.ID, errors.New("is "+o.State))
	}
	return f.wait.until(ctx, f.d.a, c, o.Position)
}

func (f *followed) run(ctx context.Context, c *api.Client, o *api.Order) (*api.Order, error) {
	f.d.a.say("order %s: %s %d cards", o.ID, o.Verb, o.Cards)
	b := f.d.a.progress(o.Verb, o.Cards)
	defer b.finish()
	for {
		next, err := c.Order(ctx, o.ID)
		var lost *api.Unreachable
		switch {
		case ctx.Err() != nil || err != nil && !errors.As(err, &lost):
			return nil, err
		case err == nil:
			o = next
			b.to(o.Taken)
		}
		if o.State != api.OrderRunning {
			return o, nil
		}
		if err := pause(ctx, followEvery); err != nil {
			return nil, err
		}
	}
}

func breakGlassCommand(d *desk) *cobra.Command {
	change := func(verb, short string, do func(*api.Client, context.Context, string, api.Reason) (*api.BreakGlassSet, error)) *cobra.Command {
		var why api.Reason
		c := d.command(deskCommand{use: verb + " CARD", short: short, args: cobra.ExactArgs(1), example: "cardinal card break-glass " + verb + " CARD",
			ask: func(ctx context.Context, c *api.Client, args []string) error {
				set, err := do(c, ctx, args[0], why)
				return shown(d, set, err, breakGlassText)
			}})
		c.Flags().StringVar(&why.Reason, "reason", "", "why")
		return c
	}
	return parent("break-glass", "Cards that orders on more than 100 leave working", "  cardinal card break-glass list",
		d.command(deskCommand{use: "list", short: "List the set", args: cobra.NoArgs, example: "cardinal card break-glass list",
			ask: func(ctx context.Context, c *api.Client, _ []string) error {
				set, err := c.BreakGlass(ctx)
				return shown(d, set, err, breakGlassText)
			}}),
		change("add", "Put an active card into the set", (*api.Client).AddBreakGlass),
		change("remove", "Take a card out of the set", (*api.Client).RemoveBreakGlass))
}

func breakGlassText(w io.Writer, set *api.BreakGlassSet) {
	row(w, "CARD", "PERSON", "STATE", "ADDED")
	active := 0
	for _, c := range set.Cards {
		row(w, c.Card, c.Person, c.State, decision(c.Added))
		if c.State == api.CardActive {
			active++
		}
	}
	row(w, fmt.Sprintf("%d active, %d needed before more than 100 cards are stopped", active, set.Needed))
}
