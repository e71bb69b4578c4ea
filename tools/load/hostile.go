package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"cardinal/internal/ber"
)

// besieging measures logins while other clients misbehave.
type besieging struct {
	ldapLoad
	slow, halfOpen int
	rounds         int
	most           float64 // how much slower logins may become
}

// besieged is what besieging prints. Times are of logins in the quiet and
// while the others are there, the best of several rounds.
type besieged struct {
	Quiet    report  `json:"quiet"`
	Besieged report  `json:"besieged"`
	Slower   float64 `json:"slower"` // share of the rate that was lost
	CPUMore  float64 `json:"cpu_more"`
}

func hostileCommand(out io.Writer) *cobra.Command {
	b := &besieging{}
	c := &cobra.Command{Use: "hostile", Short: "Measure logins beside clients that do not read and clients that never finish a request", Args: cobra.NoArgs,
		Long: `Slow readers bind, ask for everything a search may return, and read an octet a second.
Half-open clients send the beginning of a request. Rounds with and without them take turns; a round
begins when the server has done what it can for them (with --pid).`,
		Example: "  load hostile --url ldap://127.0.0.1:1389 --pid 4711 --slow 1000 --half-open 1000 --most 0.2",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := b.prepare(); err != nil {
				return err
			}
			r, err := b.run(cmd.Context())
			if err != nil {
				return err
			}
			return b.print(out, r)
		}}
	b.load.flags(c)
	b.target.flags(c)
	b.dataFlags(c)
	f := c.Flags()
	f.IntVar(&b.slow, "slow", 1000, "clients that hardly read")
	f.IntVar(&b.halfOpen, "half-open", 1000, "clients that never finish a request")
	f.IntVar(&b.rounds, "rounds", 3, "rounds of each kind")
	f.Float64Var(&b.most, "most", 0, "share of the rate that may be lost; more ends with 1")
	return c
}

var errSlowed = errors.New("the others were slowed too much")

func (b *besieging) run(ctx context.Context) (r besieged, err error) {
	login, _ := findOperation("login")
	crew, err := b.assemble(b.opener(ctx, login))
	if err != nil {
		return r, err
	}
	defer crew.Close()
	for range b.rounds {
		quiet, err := b.lap(ctx, crew)
		if err != nil {
			return r, err
		}
		siege, stop := context.WithCancel(ctx)
		enemies, err := b.besiege(siege)
		if err == nil {
			err = b.calm(ctx)
		}
		var loud report
		if err == nil {
			loud, err = b.lap(ctx, crew)
		}
		stop()
		enemies.leave()
		if err != nil {
			return r, err
		}
		r.Quiet, r.Besieged = better(r.Quiet, quiet), better(r.Besieged, loud)
	}
	r.Slower, r.CPUMore = 1-r.Besieged.Rate/r.Quiet.Rate, r.Besieged.CPU/max(r.Quiet.CPU, 0.001)-1
	return r, nil
}

func (b *besieging) lap(ctx context.Context, c *crew) (report, error) {
	done, err := c.work(ctx, b.length())
	if err != nil {
		return report{}, err
	}
	return done.report("login", b.connections)
}

// calm waits until the server has done what it can for the slow readers and
// waits for them: what counts is what they cost from then on, not the searches
// they had in hand.
func (b *besieging) calm(ctx context.Context) error {
	for deadline := time.Now().Add(2 * time.Minute); b.pid != 0; {
		before, err := cpuOf(b.pid)
		if err != nil {
			return err
		}
		if err := pause(ctx, 1); err != nil {
			return err
		}
		after, err := cpuOf(b.pid)
		if err != nil {
			return err
		}
		if after-before < time.Second/4 {
			return nil
		}
		if time.Now().After(deadline) {
			return errNoCalm
		}
	}
	return nil
}

var errNoCalm = errors.New("the server goes on working for clients that do not read")

// enemies are connections of clients that misbehave.
type enemies struct {
	wires   []*wire
	reading sync.WaitGroup
}

func (e *enemies) leave() {
	closeAll(e.wires)
	e.reading.Wait()
}

// besiege opens the connections and leaves them as they will stay.
func (b *besieging) besiege(ctx context.Context) (*enemies, error) {
	e := &enemies{wires: make([]*wire, b.slow+b.halfOpen)}
	g, dialing := errgroup.WithContext(ctx)
	g.SetLimit(32)
	for i := range e.wires {
		g.Go(func() (err error) {
			if i >= b.slow {
				e.wires[i], err = b.beginRequest(dialing, i)
				return err
			}
			if e.wires[i], err = b.askMuch(dialing, i); err == nil {
				e.reading.Go(func() { trickle(ctx, e.wires[i]) })
			}
			return err
		})
	}
	return e, g.Wait()
}

// questions is how often a slow reader asks for everything it may have: one
// answer of a thousand entries is far more than the sockets hold.
const questions = 1

// smallWindow is how much a slow reader lets arrive, in octets.
const smallWindow = 4 << 10

func (b *besieging) askMuch(ctx context.Context, i int) (*wire, error) {
	w, err := b.target.login(ctx, i)
	if err != nil {
		return nil, err
	}
	if tcp, ok := w.conn.(*net.TCPConn); ok {
		if err := tcp.SetReadBuffer(smallWindow); err != nil {
			return w, err
		}
	}
	var all []byte
	for range questions {
		w.id++
		all = searchRequest{base: "ou=People," + b.people.Suffix, scope: scopeSubtree}.append(all, w.id)
	}
	w.out = all
	return w, w.send()
}

func (b *besieging) beginRequest(ctx context.Context, i int) (*wire, error) {
	w, err := b.dial(ctx, i)
	if err != nil {
		return nil, err
	}
	w.out = ber.AppendLength([]byte{byte(tagSequence)}, 200)
	return w, w.send()
}

// trickle reads an octet a second until the connection or ctx ends.
func trickle(ctx context.Context, w *wire) {
	one := make([]byte, 1)
	for pause(ctx, 1) == nil {
		if err := w.conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return
		}
		if _, err := w.conn.Read(one); err != nil {
			return
		}
	}
}

func (b *besieging) print(out io.Writer, r besieged) (err error) {
	if b.json {
		err = json.NewEncoder(out).Encode(r)
	} else {
		_, err = fmt.Fprintf(out, "logins beside %d slow readers and %d half-open connections: %.0f/s, without them %.0f/s (%.0f%% slower); p99 %d µs, without them %d µs; server CPU %.1f µs each, without them %.1f µs\n",
			b.slow, b.halfOpen, r.Besieged.Rate, r.Quiet.Rate, 100*r.Slower, r.Besieged.P99, r.Quiet.P99, r.Besieged.CPU, r.Quiet.CPU)
	}
	switch wrong := r.Quiet.Wrong + r.Quiet.Errors + r.Besieged.Wrong + r.Besieged.Errors; {
	case wrong > 0:
		err = errors.Join(err, errNotRight, r.Quiet.first, r.Besieged.first)
	case b.most > 0 && r.Slower > b.most:
		err = errors.Join(err, errSlowed)
	}
	return err
}
