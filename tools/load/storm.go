package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// storm binds on many connections at the same time.
type storm struct {
	ldapLoad
	logins   int
	watchers int
}

// weathered is what storm prints.
type weathered struct {
	Binds   int     `json:"binds"`
	Seconds float64 `json:"seconds"`
	Rate    float64 `json:"rate"`
	Before  report  `json:"search_before"`
	During  report  `json:"search_during"`
	Wrong   int     `json:"wrong"`
	Errors  int     `json:"errors"`
}

func bindsCommand(out io.Writer) *cobra.Command {
	s := &storm{}
	c := &cobra.Command{Use: "binds", Short: "Bind on thousands of connections at once while others search", Args: cobra.NoArgs,
		Long: `The connections are opened first and stay open; each identity that "load data --logins" wrote has
bound once before. Then all bind at once, while a few searches go on.`,
		Example: "  load binds --url ldaps://127.0.0.1:1636 --trust trust.pem --connections 5000 --pid 4711",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.prepare(); err != nil {
				return err
			}
			r, err := s.run(cmd.Context())
			if err != nil {
				return err
			}
			return s.print(out, r)
		}}
	s.load.flags(c)
	s.target.flags(c)
	workforceFlags(c, &s.people)
	c.Flags().IntVar(&s.logins, "logins", 50, "identities there are")
	c.Flags().IntVar(&s.watchers, "watchers", 4, "connections that search meanwhile")
	return c
}

func (s *storm) run(ctx context.Context) (r weathered, err error) {
	search, _ := findOperation("search")
	watch := s.load
	watch.connections = s.watchers
	watchers, err := watch.assemble(s.opener(ctx, search))
	if err != nil {
		return r, err
	}
	defer watchers.Close()
	wires, err := s.open(ctx)
	defer closeAll(wires)
	if err != nil {
		return r, err
	}
	if r.Before, err = s.look(ctx, watchers, s.length()/10); err != nil {
		return r, err
	}
	working, stop := context.WithCancel(ctx)
	var looking sync.WaitGroup
	var lookErr error
	looking.Go(func() { r.During, lookErr = s.look(working, watchers, time.Minute) })
	begun := time.Now()
	bad, lost, first := s.bindAll(wires)
	r.Seconds = time.Since(begun).Seconds()
	stop()
	looking.Wait()
	r.Binds, r.Rate = len(wires), float64(len(wires))/r.Seconds
	r.Wrong, r.Errors = bad+r.Before.Wrong+r.During.Wrong, lost+r.Before.Errors+r.During.Errors
	if r.Wrong+r.Errors > 0 {
		return r, errors.Join(errNotRight, first, r.Before.first, r.During.first)
	}
	if errors.Is(lookErr, errNothing) { // all had bound before anybody had looked
		return r, nil
	}
	return r, lookErr
}

func (s *storm) look(ctx context.Context, watchers *crew, length time.Duration) (report, error) {
	done, err := watchers.work(ctx, length)
	if err != nil {
		return report{}, err
	}
	return done.report("search", s.watchers)
}

// open connects everybody, then binds once as each identity.
func (s *storm) open(ctx context.Context) ([]*wire, error) {
	wires := make([]*wire, s.connections)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(32)
	for i := range wires {
		g.Go(func() (err error) {
			wires[i], err = s.dial(ctx, i)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return wires, err
	}
	for i := range min(s.logins, len(wires)) { // in turn: hashing is bounded
		if err := s.bindAs(wires[i], i); err != nil {
			return wires, fmt.Errorf("the first bind of identity %d: %w", i, err)
		}
	}
	return wires, nil
}

func (s *storm) bindAs(w *wire, i int) error {
	return w.bind(loginDN(s.people.Suffix, i%s.logins), servicePassword)
}

func (s *storm) bindAll(wires []*wire) (bad, lost int, first error) {
	var wrongs, errs atomic.Int64
	var once sync.Once
	var g sync.WaitGroup
	for i, w := range wires {
		g.Go(func() {
			err := s.bindAs(w, i)
			if err == nil {
				return
			}
			once.Do(func() { first = fmt.Errorf("bind %d: %w", i, err) })
			if errors.As(err, &wrongAnswer{}) {
				wrongs.Add(1)
			} else {
				errs.Add(1)
			}
		})
	}
	g.Wait()
	return int(wrongs.Load()), int(errs.Load()), first
}

func (s *storm) print(out io.Writer, r weathered) error {
	if s.json {
		return json.NewEncoder(out).Encode(r)
	}
	_, err := fmt.Fprintf(out, "%d binds at once: %.2f s; searches meanwhile p50 %d µs (before %d µs), p99 %d µs (before %d µs)\n",
		r.Binds, r.Seconds, r.During.P50, r.Before.P50, r.During.P99, r.Before.P99)
	return err
}
