package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"cardinal/issuance/api"
)

// waiting is --wait: a change is done when those who are asked know it.
type waiting struct {
	wanted bool
	limit  time.Duration
}

// waitUsual is how long --wait waits for nodes that follow: many times the
// second it should take.
const waitUsual = time.Minute

func (o *waiting) flags(c *cobra.Command) {
	c.Flags().BoolVar(&o.wanted, "wait", false, "return when every node that follows has applied it; says how long each took, and ends with 4 when one may still not know")
	c.Flags().DurationVar(&o.limit, "wait-limit", waitUsual, "the longest --wait waits")
}

// servedBy is what --wait found.
type servedBy struct {
	*api.Served
	Others int `json:"others"` // nodes that may answer without knowing it
}

// pollWait is how long one question to the server waits.
const pollWait = 20 * time.Second

// until waits for the nodes, prints where each is, and fails when one may answer
// without knowing of the position.
func (o *waiting) until(ctx context.Context, a *app, c *api.Client, position uint64) error {
	if !o.wanted {
		return nil
	}
	deadline := time.Now().Add(o.limit)
	for {
		answer, err := c.Served(ctx, position, max(0, min(pollWait, time.Until(deadline).Truncate(time.Second))))
		if err != nil {
			return err
		}
		if missing(answer) > 0 && time.Now().Before(deadline) && ctx.Err() == nil {
			if err := pause(ctx, 100*time.Millisecond); err != nil {
				return err
			}
			continue
		}
		return o.tell(a, answer)
	}
}

// missing counts nodes that follow and have not applied it yet.
func missing(s *api.Served) (n int) {
	for _, one := range s.Nodes {
		if one.Live && !one.Served {
			n++
		}
	}
	return n
}

func (o *waiting) tell(a *app, s *api.Served) error {
	out := servedBy{Served: s}
	for i := range s.Nodes {
		if mayAnswer(s, &s.Nodes[i]) {
			out.Others++
		}
	}
	if err := a.print(out, func(w io.Writer) { servedText(w, s) }); err != nil {
		return err
	}
	if out.Others > 0 {
		return unreachable("waiting for the nodes", fmt.Errorf("%w: %d", errNotServed, out.Others))
	}
	return nil
}

var errNotServed = errors.New("nodes that may answer without knowing of it")

// mayAnswer tells of a node that does not know and has not stopped by itself. One
// that was never heard of has nothing to answer from.
func mayAnswer(s *api.Served, n *api.ServedNode) bool {
	if n.Served || n.Seen == nil && !n.Live {
		return false
	}
	still := func(t *time.Time) bool { return t == nil || t.After(s.Now) }
	return n.Live || still(n.RefusesStatus) || still(n.RefusesDirectory)
}

func servedText(w io.Writer, s *api.Served) {
	for _, n := range s.Nodes {
		name := n.Name
		if n.Disabled != nil {
			name += " (disabled at " + instant(n.Disabled) + ")"
		}
		switch {
		case n.Served && n.TookMillis != nil:
			row(w, name, fmt.Sprintf("after %.0f ms", *n.TookMillis))
		case n.Served:
			row(w, name, "has it")
		case n.Seen == nil && !n.Live:
			row(w, name, "never heard of")
		case !mayAnswer(s, &n):
			row(w, name, "does not have it, and answers nothing more", "last heard of "+instant(n.Seen))
		default:
			row(w, name, "does not have it", "last heard of "+instant(n.Seen), "complete as of "+instant(n.AsOf),
				"OCSP refuses by itself at "+instant(n.RefusesStatus), "LDAP at "+instant(n.RefusesDirectory))
		}
	}
}

func instant(t *time.Time) string {
	if t == nil {
		return "unknown"
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
