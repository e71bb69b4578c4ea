package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"cardinal/issuance/api"
)

// watching is cardinal watch.
type watching struct {
	d     *desk
	from  int64
	count int

	last uint64 // position of the last event
	seen int
}

func watchCommand(a *app) *cobra.Command {
	w := &watching{d: &desk{a: a}}
	c := w.d.command(deskCommand{use: "watch", short: "Show each revocation, suspension and release, and when each node served it", args: cobra.NoArgs,
		example: "cardinal watch --from 4711 --json", ask: w.run})
	c.Long = `Follows the events of the issuance server until interrupted, and goes on after a lost connection. Each line is
a change of certificates' status, the step of an order on many cards, or a node that answers by an earlier
change.`
	c.Flags().Int64Var(&w.from, "from", -1, "go on after this position (default: what comes)")
	c.Flags().IntVar(&w.count, "count", 0, "end after so many events (default: never)")
	return w.d.flags(c)
}

// watchAgain is the pause before a lost stream is asked for anew.
const watchAgain = time.Second

var errWatched = errors.New("seen enough")

func (w *watching) run(ctx context.Context, c *api.Client, _ []string) error {
	w.last = api.FromNow
	if w.from >= 0 {
		w.last = uint64(w.from)
	}
	for {
		err := c.Events(ctx, w.last, w.take)
		var lost *api.Unreachable
		switch {
		case errors.Is(err, errWatched), ctx.Err() != nil:
			return nil
		case !errors.As(err, &lost):
			return err
		}
		w.d.a.say("%v; asking again", err)
		if pause(ctx, watchAgain) != nil {
			return nil
		}
	}
}

func (w *watching) take(e api.Event) error {
	if e.Kind != api.EventServed {
		w.last = e.Position
	}
	if err := w.tell(e); err != nil {
		return err
	}
	if w.seen++; w.seen == w.count {
		return errWatched
	}
	return nil
}

func (w *watching) tell(e api.Event) error {
	if w.d.a.json {
		return w.d.a.printJSON(e)
	}
	at := e.At.UTC().Format("2006-01-02T15:04:05.000Z")
	text := fmt.Sprintf("%s %d %s", at, e.Position, e.Kind)
	switch e.Kind {
	case api.EventOrder:
		text += fmt.Sprintf(" %s %s %s: %d of %d cards", e.Order, e.Verb, e.State, e.Done, e.Cards)
	case api.EventServed:
		text += fmt.Sprintf(" by %s after %.0f ms", e.Node, e.TookMillis)
	default:
		text += fmt.Sprintf(" %s %s %s", e.Issuer, e.Reason, summary(e.Serials))
	}
	_, err := fmt.Fprintln(w.d.a.out, text)
	return err
}

// summary names a few serials and counts the rest.
func summary(serials []string) string {
	const few = 3
	text := ""
	for i, s := range serials {
		if i == few {
			return fmt.Sprintf("%s and %d more", text, len(serials)-few)
		}
		text += s + " "
	}
	return text
}
