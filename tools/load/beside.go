package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// besides measures short requests while a crowd asks for much.
type besides struct {
	ldapLoad
	crowd     crowd
	operation string
	rounds    int
	slowest   float64 // how many times slower the middle may become
}

// crowded is what besides prints: the best of several rounds each.
type crowded struct {
	Quiet    report  `json:"quiet"`
	Beside   report  `json:"beside"`
	Slower   float64 `json:"slower"`     // p50, times
	Answered float64 `json:"crowd_rate"` // requests of the crowd a second
}

func besideCommand(out io.Writer) *cobra.Command {
	b := &besides{}
	cmd := &cobra.Command{Use: "beside KIND", Short: "Measure short requests while many clients ask for much", Args: cobra.ExactArgs(1),
		Long: `The crowd (see "load crowd") is a process of its own. Rounds without and with it take turns; of each
figure the best round counts.`,
		Example: "  load beside answers --url ldap://127.0.0.1:1389 --clients 1000 --slowest 2",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := b.prepare(); err != nil {
				return err
			}
			r, err := b.run(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return b.print(out, args[0], r)
		}}
	b.load.flags(cmd)
	b.target.flags(cmd)
	b.dataFlags(cmd)
	b.crowd.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&b.operation, "operation", "login", "what to measure")
	f.IntVar(&b.rounds, "rounds", 2, "rounds of each kind")
	f.Float64Var(&b.slowest, "slowest", 0, "times the middle may be slower; more ends with 1")
	return cmd
}

func (b *besides) run(ctx context.Context, kind string) (r crowded, err error) {
	o, ok := findOperation(b.operation)
	if !ok {
		return r, fmt.Errorf("%q %w", b.operation, errOperation)
	}
	crew, err := b.assemble(b.opener(ctx, o))
	if err != nil {
		return r, err
	}
	defer crew.Close()
	for range b.rounds {
		quiet, err := b.lap(ctx, crew)
		if err != nil {
			return r, err
		}
		loud, answered, err := b.crowdedLap(ctx, crew, kind)
		if err != nil {
			return r, err
		}
		r.Quiet, r.Beside = better(r.Quiet, quiet), better(r.Beside, loud)
		r.Answered = max(r.Answered, answered)
	}
	r.Slower = float64(r.Beside.P50) / float64(max(r.Quiet.P50, 1))
	return r, nil
}

func (b *besides) lap(ctx context.Context, c *crew) (report, error) {
	done, err := c.work(ctx, b.length())
	if err != nil {
		return report{}, err
	}
	return done.report(b.operation, b.connections)
}

func (b *besides) crowdedLap(ctx context.Context, c *crew, kind string) (r report, rate float64, err error) {
	args := []string{"crowd", kind, "--url", b.url, "--bind-dn", b.bindDN, "--password", b.password, "--suffix", b.people.Suffix,
		"--clients", strconv.Itoa(b.crowd.clients), "--logins", strconv.Itoa(b.crowd.logins)}
	for _, path := range b.trust {
		args = append(args, "--trust", path)
	}
	crowd, err := gather(ctx, args)
	if err != nil {
		return r, 0, err
	}
	begun := time.Now()
	r, err = b.lap(ctx, c)
	answered, gone := crowd.leave()
	return r, float64(answered) / time.Since(begun).Seconds(), errors.Join(err, gone)
}

func (b *besides) print(out io.Writer, kind string, r crowded) (err error) {
	if b.json {
		err = json.NewEncoder(out).Encode(r)
	} else {
		_, err = fmt.Fprintf(out, "%s beside %d clients with %s: p50 %d µs, p99 %d µs, %.0f/s; without them p50 %d µs, p99 %d µs, %.0f/s; the crowd had %.1f requests answered a second\n",
			b.operation, b.crowd.clients, kind, r.Beside.P50, r.Beside.P99, r.Beside.Rate, r.Quiet.P50, r.Quiet.P99, r.Quiet.Rate, r.Answered)
	}
	switch {
	case r.Quiet.Wrong+r.Quiet.Errors+r.Beside.Wrong+r.Beside.Errors > 0:
		err = errors.Join(err, errNotRight, r.Quiet.first, r.Beside.first)
	case b.slowest > 0 && r.Slower > b.slowest:
		err = errors.Join(err, errSlowed)
	}
	return err
}
