package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// idling keeps many connections open that say nothing.
type idling struct {
	target
	load
	suffix string
	most   float64 // KiB a connection may cost
	settle float64 // seconds
}

// rested is what idling prints, in bytes. Resident memory holds pages of the
// store's file too, which come and go: own memory is what connections cost.
type rested struct {
	Connections   int   `json:"connections"`
	Resident      int64 `json:"rss_bytes"`
	Own           int64 `json:"anonymous_bytes"`
	PerConnection int64 `json:"rss_bytes_per_connection"`
	OwnEach       int64 `json:"anonymous_bytes_per_connection"`
}

func idleCommand(out io.Writer) *cobra.Command {
	l := &idling{}
	c := &cobra.Command{Use: "idle", Short: "Measure what connections that say nothing cost the server's memory", Args: cobra.NoArgs,
		Example: "  load idle --url ldaps://127.0.0.1:1636 --trust trust.pem --pid 4711 --connections 10000 --most 64",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := l.resolve(l.suffix); err != nil {
				return err
			}
			r, err := l.run(cmd.Context())
			if err != nil {
				return err
			}
			return l.print(out, r)
		}}
	l.load.flags(c)
	l.target.flags(c)
	c.Flags().StringVar(&l.suffix, "suffix", "o=nhs", "the tree the identity hangs in")
	c.Flags().Float64Var(&l.most, "most", 0, "KiB of resident memory a connection may cost; more ends with 1")
	c.Flags().Float64Var(&l.settle, "settle", 3, "seconds to wait before each look")
	return c
}

var errTooMuch = errors.New("a connection costs too much memory")

func (l *idling) run(ctx context.Context) (r rested, err error) {
	warm, err := l.open(ctx, min(l.connections, 200)) // what is built once is not a connection's cost
	closeAll(warm)
	if err != nil {
		return r, err
	}
	if err := pause(ctx, l.settle); err != nil {
		return r, err
	}
	resident, own, err := residentOf(l.pid)
	if err != nil {
		return r, err
	}
	wires, err := l.open(ctx, l.connections)
	defer closeAll(wires)
	if err != nil {
		return r, err
	}
	if err := pause(ctx, l.settle); err != nil {
		return r, err
	}
	if r.Resident, r.Own, err = residentOf(l.pid); err != nil {
		return r, err
	}
	n := int64(l.connections)
	r.Connections, r.PerConnection, r.OwnEach = l.connections, (r.Resident-resident)/n, (r.Own-own)/n
	for _, w := range wires[:min(100, len(wires))] { // they must be of use still
		if err := w.bind(l.bindDN, l.password); err != nil {
			return r, fmt.Errorf("after resting: %w", err)
		}
	}
	return r, nil
}

// open connects and binds, few at a time.
func (l *idling) open(ctx context.Context, n int) ([]*wire, error) {
	wires := make([]*wire, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(32)
	for i := range wires {
		g.Go(func() (err error) {
			wires[i], err = l.target.login(ctx, i)
			return err
		})
	}
	return wires, g.Wait()
}

func closeAll(wires []*wire) {
	for _, w := range wires {
		if w != nil {
			_ = w.Close()
		}
	}
}

func pause(ctx context.Context, seconds float64) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(seconds * float64(time.Second))):
		return nil
	}
}

func (l *idling) print(out io.Writer, r rested) (err error) {
	if l.json {
		err = json.NewEncoder(out).Encode(r)
	} else {
		_, err = fmt.Fprintf(out, "%d idle connections: %.1f KiB resident each (%.1f KiB without files), %d MiB in all\n",
			r.Connections, float64(r.PerConnection)/1024, float64(r.OwnEach)/1024, r.Resident>>20)
	}
	if l.most > 0 && float64(r.PerConnection) > l.most*1024 {
		err = errors.Join(err, errTooMuch)
	}
	return err
}
