package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"cardinal/issuance/api"
)

// night is the suspension of a whole workforce's cards by a filter, while
// people sign in and single cards are lost, and the lifting of it for a list.
type night struct {
	ldapLoad
	installation
	staff   string
	pidFile string
	spare   int // cards at the end of the numbers that no order touches
	lift    int
	quiet   float64 // seconds of logins before
	every   time.Duration
	rate    float64
	kill    bool
	struck  bool      // it was killed
	notes   io.Writer // progress

	clients [2]*api.Client
	singles lostCards
	found   []figure
	wrong   int
}

func nightCommand(out io.Writer) *cobra.Command {
	n := &night{notes: out}
	c := &cobra.Command{Use: "night", Short: "Suspend every card by a filter while people sign in, then lift it for a list", Args: cobra.NoArgs,
		Long: `A dry run, the order, a second administrator's yes, and progress until it is done, while logins go on at a
fixed rate and a single card is cancelled each second. Then a list of cards is lifted, and OCSP is asked
about a sample of each kind. With --kill the server is killed half way instead (kill -9 of the process in
--pid-file, which must start again by itself), without logins and cancels. Anything wrong ends with 1.`,
		Example: "  load night --folder cards --staff staff --people 760000 --organisations 38001 --seed 1 --pid-file serve.pid",
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := n.run(cmd.Context())
			return errors.Join(err, printFigures(out, n.found))
		}}
	n.installation.flags(c)
	n.target.identityFlags(c)
	n.dataFlags(c)
	f := c.Flags()
	f.StringVar(&n.staff, "staff", "staff", "folder that load staff made: security-0 asks, security-1 confirms")
	f.StringVar(&n.pidFile, "pid-file", "", "file with the process id of the server, to measure its CPU")
	f.IntVar(&n.spare, "spare", 300, "cards, of the highest numbers, that the order leaves to be cancelled one by one")
	f.IntVar(&n.lift, "lift", 10_000, "cards to lift it for, spread evenly (at most all that were suspended)")
	f.IntVar(&n.connections, "connections", 16, "connections that sign in")
	f.Float64Var(&n.rate, "rate", 500, "logins a second")
	f.Float64Var(&n.quiet, "quiet", 20, "seconds of logins before")
	f.DurationVar(&n.every, "every", time.Second, "how often a single card is cancelled")
	f.BoolVar(&n.kill, "kill", false, "kill the server half way")
	return c
}

func (n *night) run(ctx context.Context) error {
	if err := n.connect(); err != nil {
		return err
	}
	defer n.disconnect()
	at, err := n.addresses()
	if err != nil {
		return err
	}
	n.url = at.LDAP
	if err := n.prepare(); err != nil {
		return err
	}
	pid, err := readPID(n.pidFile)
	if err != nil {
		return err
	}
	filter := n.filter()
	if err := n.plan(ctx, filter); err != nil {
		return err
	}
	suspend := api.NewOrder{RequestID: fmt.Sprintf("night-%d", time.Now().UnixNano()), Verb: api.OrderSuspend, Filter: filter, Note: "keys can be computed"}
	done, err := n.suspend(ctx, suspend, pid)
	if err != nil {
		return err
	}
	lifted, err := n.resume(ctx, done)
	if err != nil {
		return err
	}
	if err := n.sample(ctx, lifted); err != nil {
		return err
	}
	n.found = append(n.found, valueOf("wrong answers", "", float64(n.wrong)).atMost(0))
	if n.wrong > 0 {
		return errNotRight
	}
	return nil
}

// connect opens a client for each of the two administrators, at where the
// server listens now.
func (n *night) connect() (err error) {
	for i := range n.clients {
		if n.clients[i], err = n.client(filepath.Join(n.staff, fmt.Sprintf("security-%d.pem", i))); err != nil {
			return err
		}
	}
	return nil
}

func (n *night) disconnect() {
	for _, c := range n.clients {
		if c != nil {
			c.Close()
		}
	}
}

// filter fits every active card but the spare ones.
func (n *night) filter() string {
	return fmt.Sprintf("(&(state=active)(!(&(card>=%s)(card<=%s))))", cardNumber(n.people.People-n.spare), cardNumber(n.people.People-1))
}

func (n *night) note(format string, args ...any) {
	fmt.Fprintf(n.notes, "# "+format+"\n", args...)
}

func (n *night) plan(ctx context.Context, filter string) error {
	begun := time.Now()
	p, err := n.clients[0].PlanOrder(ctx, api.NewOrder{Verb: api.OrderSuspend, Filter: filter})
	if err != nil {
		return fmt.Errorf("the dry run: %w", err)
	}
	n.found = append(n.found, valueOf("dry run", "s", time.Since(begun).Seconds()))
	n.note("dry run: would suspend %d of %d cards, leaves %v, break-glass %d, second administrator %v", p.Would, p.Chosen, p.Leaves, p.Spared, p.Second)
	return nil
}

// suspend places the order, has it confirmed, and follows it to its end.
func (n *night) suspend(ctx context.Context, order api.NewOrder, pid int) (*api.Order, error) {
	crew, err := n.crewAt(ctx)
	if err != nil {
		return nil, err
	}
	defer crew.Close()
	before, err := n.signIn(ctx, crew, time.Duration(n.quiet*float64(time.Second)))
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	o, err := n.clients[0].PlaceOrder(ctx, order)
	if err != nil {
		return nil, fmt.Errorf("placing the order: %w", err)
	}
	n.found = append(n.found, valueOf("choosing the cards", "s", time.Since(begun).Seconds()))
	n.note("order %s: %s, %d cards", o.ID, o.State, o.Cards)
	cpu, err := cpuOf(pid)
	if err != nil {
		return nil, err
	}
	during, ended, err := n.whileWorking(ctx, crew, func(ctx context.Context) (*api.Order, error) { return n.confirm(ctx, o) })
	if err != nil {
		return nil, err
	}
	n.reportOrder("suspended", ended)
	if !n.kill {
		after, err := cpuOf(pid)
		if err != nil {
			return nil, err
		}
		n.found = append(n.found, valueOf("server CPU, logins with it", "µs a certificate", float64((after-cpu).Microseconds())/float64(max(1, 2*ended.Done))))
	}
	n.reportLogins(before, during)
	n.singles.report(n)
	return ended, nil
}

// reportOrder tells how an order went; its times are the server's.
func (n *night) reportOrder(what string, o *api.Order) {
	seconds := 0.0
	if o.Started != nil && o.Ended != nil {
		seconds = o.Ended.Sub(*o.Started).Seconds()
	}
	took := valueOf(fmt.Sprintf("%s %d certificates", what, 2*o.Done), "s", seconds)
	if what == "suspended" && !n.kill { // what was killed takes as long as it takes to start again
		took = took.atMost(60 * float64(o.Done) / 760_000)
	}
	n.found = append(n.found, took, valueOf(what+", rate", "certificates/s", float64(2*o.Done)/max(seconds, 1e-3)),
		valueOf(what+", longest hold of the head", "ms", o.HeldMillis).atMost(50))
	if o.State != api.OrderDone || o.Left > 0 || o.Taken != o.Cards {
		n.note("order %s: %s, %d of %d taken, %d left", o.ID, o.State, o.Taken, o.Cards, o.Left)
		n.wrong++
	}
}
