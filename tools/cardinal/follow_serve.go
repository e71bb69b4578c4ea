package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cardinal/internal/journal"
	"cardinal/internal/journal/feed"
	"cardinal/internal/replica"
)

// source is where this node's replica comes from.
func (n *node) source() journal.Feed {
	if n.follower != nil {
		return n.follower.client
	}
	return n.ledger.NearFeed()
}

// seed fills this node's replica, if there is none, with a snapshot of the writer's.
func (n *node) seed(ctx context.Context) error {
	r, err := newCopy(n.directory)
	if err != nil {
		return err
	}
	return n.follower.seed(ctx, n.folder.replica(), r.appliers())
}

// followsWith keeps a replica up to date. A node elsewhere that must not follow any further stays: it vouches for nothing
// more, and goes on serving its last lists, since a list that cannot be had counts as an empty one with some relying
// systems.
func (n *node) followsWith(r *replica.Replica) func(ctx context.Context) error {
	if n.follower == nil {
		return r.Follow
	}
	n.follower.state = func() feed.Lease { return n.lease(r.State()) }
	n.measureFollowing(r)
	n.task("node certificate", n.follower.keepIdentity)
	n.task("configuration", n.keepConfiguration)
	return func(ctx context.Context) error {
		if err := r.Follow(ctx); err != nil {
			n.logger.Error("this node has stopped following and vouches for nothing any more: only its last lists are served", "position", r.State().Position, "why", err)
			<-ctx.Done()
		}
		return nil
	}
}

// errClock: what this node would sign would be dated wrong.
type errClock struct{ skew time.Duration }

// Error says by how much the clocks differ.
func (e *errClock) Error() string {
	return "this host's clock and the writer's differ by " + e.skew.Round(time.Millisecond).String()
}

// doubt says why a node must not vouch for what it has: its clock.
func (fw *follower) doubt() error {
	if skew := fw.client.Skew(); skew.Abs() > feed.WrongClock {
		return &errClock{skew}
	}
	return nil
}

// lease is what this node says of itself.
func (n *node) lease(s replica.State) feed.Lease {
	return feed.Lease{Epoch: s.Epoch, Position: s.Position, AsOf: s.Time, Loading: s.Loading || s.Reseeding, Version: programVersion(),
		OCSPAge: n.config.Limits.OCSPAge, DirectoryAge: n.config.Limits.DirectoryAge, Ends: n.follower.identity.current.Load().Leaf.NotAfter}
}

// measureFollowing adds what is counted of the way to the writer.
func (n *node) measureFollowing(r *replica.Replica) {
	counts := n.follower.client.Counts
	gauge := func(name, help string, read func() float64) {
		n.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "cardinal", Subsystem: "feed", Name: name, Help: help}, read))
	}
	counter := func(name, help string, read func() float64) {
		n.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "cardinal", Subsystem: "feed", Name: name, Help: help}, read))
	}
	counter("connections_total", "Connections made to writers.", func() float64 { return float64(counts().Connections) })
	counter("bytes_total", "Bytes received from writers.", func() float64 { return float64(counts().Bytes) })
	gauge("clock_skew_seconds", "The writer's clock less this host's, as far as it is certain.", func() float64 { return counts().Skew.Seconds() })
	gauge("lag_positions", "Positions the writer had beyond this node's when it last said.", func() float64 {
		return float64(counts().Head) - float64(min(counts().Head, r.State().Position))
	})
	gauge("restart_wanted", "1 when the writer's configuration has changed in what takes effect at this node's next start.", func() float64 {
		if n.follower.outdated.Load() {
			return 1
		}
		return 0
	})
	gauge("refused", "1 when this node may not follow, or has stopped, and vouches for nothing.", func() float64 {
		if r.State().Refused != nil {
			return 1
		}
		return 0
	})
}
