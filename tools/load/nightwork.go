package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"cardinal/issuance/api"
)

// crewAt opens the connections that sign in.
func (n *night) crewAt(ctx context.Context) (*crew, error) {
	if n.kill {
		return &crew{}, nil
	}
	o, _ := findOperation("login")
	n.load.pid = 0
	return n.assemble(n.opener(ctx, o))
}

// signIn has people sign in for a time; nobody does when the server is to be killed.
func (n *night) signIn(ctx context.Context, c *crew, length time.Duration) (report, error) {
	if n.kill {
		return report{}, nil
	}
	done, err := c.steady(ctx, length, n.rate)
	if err != nil {
		return report{}, err
	}
	return done.report("login", n.connections)
}

// aNight bounds what goes on while an order runs.
const aNight = 3 * time.Hour

// whileWorking lets people sign in and cards be cancelled until work is done.
func (n *night) whileWorking(ctx context.Context, c *crew, work func(context.Context) (*api.Order, error)) (logins report, o *api.Order, err error) {
	ctx, stop := context.WithTimeout(ctx, aNight)
	defer stop()
	var beside sync.WaitGroup
	var loginErr error
	working, over := context.WithCancel(ctx)
	defer over()
	if !n.kill {
		if err := n.singles.open(n); err != nil {
			return logins, nil, err
		}
		defer n.singles.close()
		beside.Go(func() { logins, loginErr = n.signIn(working, c, aNight) })
		beside.Go(func() { n.singles.lose(working, n) })
	}
	o, err = work(ctx)
	over()
	beside.Wait()
	if errors.Is(loginErr, context.Canceled) {
		loginErr = nil
	}
	return logins, o, errors.Join(err, loginErr)
}

// confirm is the second administrator's yes, and what follows it.
func (n *night) confirm(ctx context.Context, o *api.Order) (*api.Order, error) {
	if o.State == api.OrderAwaiting {
		confirmed, err := n.clients[1].ConfirmOrder(ctx, o.ID, api.ConfirmOrder{Content: o.Content})
		if err != nil {
			return nil, fmt.Errorf("confirming the order: %w", err)
		}
		o = confirmed
	}
	return n.follow(ctx, o)
}

// follow looks at an order until it needs nothing more, through a restart of the
// server, which it brings about itself when it is told to.
func (n *night) follow(ctx context.Context, o *api.Order) (*api.Order, error) {
	told := time.Now()
	for o.State == api.OrderRunning || o.State == api.OrderPreparing {
		if err := pause(ctx, 0.1); err != nil {
			return nil, err
		}
		if n.kill && !n.struck && o.Taken > o.Cards/2 {
			if err := n.killed(ctx, o); err != nil {
				return nil, err
			}
			n.struck = true
		}
		next, err := n.clients[0].Order(ctx, o.ID)
		if err != nil {
			return nil, fmt.Errorf("following the order: %w", err)
		}
		o = next
		if time.Since(told) > 5*time.Second {
			told = time.Now()
			n.note("%s: %d of %d cards", o.Verb, o.Taken, o.Cards)
		}
	}
	return o, nil
}

// killed ends the server with SIGKILL and waits until the one that comes after
// it goes on with the order.
func (n *night) killed(ctx context.Context, o *api.Order) error {
	pid, err := readPID(n.pidFile)
	if err != nil || pid == 0 {
		return errors.Join(err, errors.New("--kill needs --pid-file"))
	}
	n.note("killing the server after %d of %d cards", o.Taken, o.Cards)
	begun := time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return err
	}
	for {
		if err := pause(ctx, 0.1); err != nil {
			return err
		}
		if now, err := readPID(n.pidFile); err != nil || now == pid {
			continue
		}
		n.disconnect()
		if n.connect() != nil {
			continue
		}
		next, err := n.clients[0].Order(ctx, o.ID)
		if err != nil {
			continue
		}
		if next.Taken < o.Taken {
			n.note("%d cards were taken before it was killed, and %d after", o.Taken, next.Taken)
			n.wrong++
		}
		if next.Taken > o.Taken || next.State == api.OrderDone {
			n.found = append(n.found, valueOf("killed half way, going on after", "s", time.Since(begun).Seconds()))
			return nil
		}
	}
}

// reportLogins compares logins while an order runs with those before.
func (n *night) reportLogins(before, during report) {
	if before.Operations == 0 {
		return
	}
	p99 := func(r report) float64 { return float64(r.P99) / 1000 }
	n.found = append(n.found,
		figure{Name: "logins before", Count: before.Operations, P50: float64(before.P50) / 1000, P99: p99(before)},
		figure{Name: "logins during", Count: during.Operations, P50: float64(during.P50) / 1000, P99: p99(during)}.atMost(2*p99(before)),
		valueOf("logins that failed", "", float64(before.Wrong+before.Errors+during.Wrong+during.Errors)).atMost(0))
	if bad := before.Wrong + during.Wrong; bad > 0 {
		n.wrong += bad
		n.note("a login: %v", errors.Join(before.first, during.first))
	}
}

// lostCards are single cards that are cancelled while an order runs.
type lostCards struct {
	work  revokes
	done  []string
	took  []time.Duration
	seen  []time.Duration
	first error
}

func (l *lostCards) open(n *night) error {
	l.work = revokes{installation: n.installation, operator: n.staff + "/security-0.pem", pause: time.Millisecond}
	return l.work.prepare()
}

func (l *lostCards) close() { l.work.close() }

// lose cancels a spare card each time, until ctx ends or none is left.
func (l *lostCards) lose(ctx context.Context, n *night) {
	tick := time.NewTicker(n.every)
	defer tick.Stop()
	for i := range n.spare {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		card := cardNumber(n.people.People - n.spare + i)
		one, err := l.work.cancel(context.WithoutCancel(ctx), card)
		if err != nil {
			l.first = errors.Join(l.first, fmt.Errorf("cancelling %s: %w", card, err))
			return
		}
		l.done, l.took, l.seen = append(l.done, card), append(l.took, one.cancel), append(l.seen, one.seen[0])
		n.wrong += one.sights[0].wrong
	}
}

// report tells what single cancels cost meanwhile.
func (l *lostCards) report(n *night) {
	if l.first != nil {
		n.note("%v", l.first)
		n.wrong++
	}
	if len(l.took) > 0 {
		n.found = append(n.found, timesOf("single cancel meanwhile", "", l.took).atMost(100), timesOf("single cancel to revoked", "", l.seen))
	}
}

// resume lifts the suspension for a list of cards.
func (n *night) resume(ctx context.Context, done *api.Order) ([]string, error) {
	most := int(done.Done)
	names := make([]string, 0, n.lift)
	covered := n.people.People - n.spare
	for i := range min(n.lift, most) {
		names = append(names, cardNumber(i*covered/min(n.lift, most)))
	}
	if len(names) == 0 {
		return nil, nil
	}
	o, err := n.clients[0].PlaceOrder(ctx, api.NewOrder{RequestID: fmt.Sprintf("lift-%d", time.Now().UnixNano()), Verb: api.OrderResume, Names: slices.Clone(names), Note: "renewed"})
	if err == nil {
		o, err = n.confirm(ctx, o)
	}
	if err != nil {
		return nil, fmt.Errorf("lifting it for a list: %w", err)
	}
	n.reportOrder("resumed", o)
	return names, n.arrived(ctx, o.Position)
}

// arrived waits until the node shows a position.
func (n *night) arrived(ctx context.Context, position uint64) error {
	for {
		s, err := n.clients[0].Served(ctx, position, 20*time.Second)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(s.Nodes, func(one api.ServedNode) bool { return one.Live && !one.Served }) {
			return nil
		}
	}
}

// sampleOf is how many cards of each kind are asked about in the end.
const sampleOf = 100

// sample asks OCSP about cards that were lifted, still held, cancelled, and left
// alone, and judges each answer in full.
func (n *night) sample(ctx context.Context, lifted []string) error {
	at, err := n.addresses()
	if err != nil {
		return err
	}
	isLifted := map[string]bool{}
	for _, card := range lifted {
		isLifted[card] = true
	}
	var held []string
	for i := 1; len(held) < sampleOf && i < n.people.People-n.spare; i += max(1, n.people.People/(2*sampleOf)) {
		if card := cardNumber(i); !isLifted[card] {
			held = append(held, card)
		}
	}
	var untouched []string
	if spare := n.people.People - n.spare + len(n.singles.done); spare < n.people.People {
		untouched = []string{cardNumber(spare)}
	}
	asked := 0
	for expect, cards := range map[string][]string{"good": append(lifted[:min(len(lifted), sampleOf)], untouched...), "held": held, "revoked": n.singles.done} {
		for _, card := range cards {
			if err := n.judge(ctx, at.Status, card, expect); err != nil {
				n.wrong++
				n.note("%s: %v", card, err)
			}
			asked++
		}
	}
	n.found = append(n.found, valueOf("cards asked about afterwards", "", float64(asked)))
	return nil
}

func (n *night) judge(ctx context.Context, responder, card, expect string) error {
	c, err := n.clients[0].Card(ctx, card)
	if err != nil {
		return err
	}
	q, err := n.installation.question(responder, c.Serials.Authentication)
	if err != nil {
		return err
	}
	answer, err := q.query.Ask(ctx, http.DefaultClient, responder+"/ocsp", time.Now)
	if err != nil {
		return err
	}
	return newJudge(expect).expected(answer)
}
