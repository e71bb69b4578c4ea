package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// comparing does the same work against two servers in turn.
type comparing struct {
	ldapLoad
	ours, theirs side
	operations   []string
	rounds       int
}

type side struct {
	url string
	pid int
}

// versus is one operation on both sides; the ratios are ours to theirs.
type versus struct {
	Operation string  `json:"operation"`
	Ours      report  `json:"ours"`
	Theirs    report  `json:"theirs"`
	CPURatio  float64 `json:"cpu_ratio"`
	RateRatio float64 `json:"rate_ratio"`
}

func compareCommand(out io.Writer) *cobra.Command {
	c := &comparing{}
	cmd := &cobra.Command{Use: "compare", Short: "Do the same work against two servers in turn and print the ratios", Args: cobra.NoArgs,
		Long: `The servers take turns, round by round, so that a busy machine is busy for both. Of each figure the
best round counts. Both must hold the same entries (load data) and must know the same identity. An
operation may be given connections of its own: modify@64.`,
		Example: "  load compare --ours ldap://127.0.0.1:1389 --ours-pid 4711 --theirs ldap://127.0.0.1:2389 --theirs-pid 4712 --people 200000 --organisations 10000 --seed 1",
		RunE: func(cmd *cobra.Command, _ []string) error {
			table, err := c.run(cmd.Context())
			return errors.Join(c.print(out, table), err)
		}}
	f := cmd.Flags()
	f.StringVar(&c.ours.url, "ours", "ldap://127.0.0.1:1389", "the first server")
	f.IntVar(&c.ours.pid, "ours-pid", 0, "process id of the first server")
	f.StringVar(&c.theirs.url, "theirs", "ldap://127.0.0.1:2389", "the second server")
	f.IntVar(&c.theirs.pid, "theirs-pid", 0, "process id of the second server")
	f.StringSliceVar(&c.operations, "operations", []string{"login", "search", "base", "prefix", "bind", "modify@64", "mixed"}, "what to do")
	f.IntVar(&c.rounds, "rounds", 3, "rounds for each server and operation")
	f.IntVar(&c.connections, "connections", 16, "connections, each with one request in flight")
	f.Float64Var(&c.seconds, "seconds", 3, "how long a round is")
	f.BoolVar(&c.json, "json", false, "print the table as JSON")
	c.identityFlags(cmd)
	c.dataFlags(cmd)
	return cmd
}

// run compares every operation. It gives what it has even when it fails.
func (c *comparing) run(ctx context.Context) (table []versus, err error) {
	if c.world, err = newWorld(c.people); err != nil {
		return nil, err
	}
	for _, text := range c.operations {
		v, err := c.compare(ctx, text)
		if err != nil {
			return table, fmt.Errorf("%s: %w", text, err)
		}
		table = append(table, v)
		if v.Ours.Wrong+v.Ours.Errors+v.Theirs.Wrong+v.Theirs.Errors > 0 {
			err = errors.Join(errNotRight, v.Ours.first, v.Theirs.first)
			return table, fmt.Errorf("%s: %w", text, err)
		}
	}
	return table, nil
}

var errOperation = errors.New("is not an operation, or not with so many connections")

func (c *comparing) compare(ctx context.Context, text string) (v versus, err error) {
	name, count, given := strings.Cut(text, "@")
	connections := c.connections
	if given {
		connections, err = strconv.Atoi(count)
	}
	o, ok := findOperation(name)
	if !ok || err != nil || connections < 1 {
		return v, fmt.Errorf("%q %w", text, errOperation)
	}
	v.Operation = text
	sides := [2]*crew{}
	for i, s := range []side{c.ours, c.theirs} {
		if sides[i], err = c.crewOf(ctx, s, o, connections); err != nil {
			return v, fmt.Errorf("%s: %w", s.url, err)
		}
		defer sides[i].Close()
	}
	for round := range c.rounds {
		for turn := range sides {
			i := (turn + round) % 2 // who begins changes
			done, err := sides[i].work(ctx, c.length())
			if err != nil {
				return v, err
			}
			r, err := done.report(name, connections)
			if err != nil {
				return v, err
			}
			best := []*report{&v.Ours, &v.Theirs}[i]
			*best = better(*best, r)
		}
	}
	v.CPURatio, v.RateRatio = v.Ours.CPU/max(v.Theirs.CPU, 0.001), v.Ours.Rate/v.Theirs.Rate
	return v, nil
}

func (c *comparing) crewOf(ctx context.Context, s side, o operation, connections int) (*crew, error) {
	l := c.ldapLoad
	l.url, l.pid, l.connections = s.url, s.pid, connections
	if err := l.resolve(l.people.Suffix); err != nil {
		return nil, err
	}
	return l.assemble(l.opener(ctx, o))
}

// better takes of each figure the best of two rounds, and adds up what was
// not right.
func better(a, b report) report {
	if a.Operations == 0 {
		return b
	}
	r := b
	r.Operations, r.Seconds = a.Operations+b.Operations, a.Seconds+b.Seconds
	r.Rate = max(a.Rate, b.Rate)
	r.P50, r.P95, r.P99 = min(a.P50, b.P50), min(a.P95, b.P95), min(a.P99, b.P99)
	r.CPU, r.ClientCPU = min(a.CPU, b.CPU), min(a.ClientCPU, b.ClientCPU)
	r.Wrong, r.Errors = a.Wrong+b.Wrong, a.Errors+b.Errors
	r.first = errors.Join(a.first, b.first)
	return r
}

func (c *comparing) print(out io.Writer, table []versus) error {
	if c.json {
		return json.NewEncoder(out).Encode(slices.Concat([]versus{}, table)) // [] and not null
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\tours CPU µs\ttheirs\tratio\tours/s\ttheirs/s\tratio\tours p50/p99 µs\ttheirs p50/p99 µs\t\n")
	for _, v := range table {
		a, b := v.Ours, v.Theirs
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.2f\t%.0f\t%.0f\t%.2f\t%d/%d\t%d/%d\t\n",
			v.Operation, a.CPU, b.CPU, v.CPURatio, a.Rate, b.Rate, v.RateRatio, a.P50, a.P99, b.P50, b.P99)
	}
	return w.Flush()
}
