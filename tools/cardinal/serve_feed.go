package main

import (
	"context"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"cardinal/ca"
	"cardinal/certs/nodes"
	"cardinal/internal/journal/feed"
)

// feedSide is what read nodes on other machines follow.
type feedSide struct {
	copy     string // how the copy in this process is called at other writers of the ledger; "" when there are none
	register nodes.Register
	leases   *feed.Leases
	server   *feed.Server
	shared   atomic.Pointer[map[feed.Scope]*offered]
}

// serveFeed listens for read nodes on other machines, if any may come, and shares with other writers, if there may be
// some, how far what answers here is.
func (n *node) serveFeed(ctx context.Context) error {
	others := strings.HasPrefix(n.config.Ledger.URL, "postgres")
	if n.config.Feed.Listen == "" && !others && n.read != nil {
		return nil
	}
	register := nodes.Register{Ledger: n.ledger, Now: n.now}
	n.feed = &feedSide{register: register, leases: feed.NewLeases(register.List)}
	if others && n.read != nil {
		n.feed.copy = feed.CopyPrefix + copyName(n.addresses.Status)
		if err := n.joined(ctx, n.ownState()); err != nil { // before it answers anybody
			return err
		}
	}
	n.task("leases", n.keepLeases)
	if n.config.Feed.Listen == "" {
		return nil
	}
	return n.listenForNodes(register)
}

// copyName is how a copy inside a writer is told from others.
func copyName(status string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	return host + " " + strings.TrimPrefix(status, "http://")
}

// ownState is what this process says of its own copy.
func (n *node) ownState() feed.NodeState {
	s := n.read.replica.State()
	return feed.NodeState{Node: feed.Node{Name: feed.CopyPrefix + copyName(n.addresses.Status), Scope: feed.Central}, Seen: n.now(), Lease: feed.Lease{Epoch: s.Epoch, Position: s.Position, AsOf: s.Time,
		Loading: s.Loading || s.Reseeding, Version: programVersion(), OCSPAge: n.config.Limits.OCSPAge, DirectoryAge: n.config.Limits.DirectoryAge}}
}

// listenForNodes listens for read nodes on other machines.
func (n *node) listenForNodes(register nodes.Register) error {
	if err := n.share(n.config); err != nil {
		return usage("sharing the configuration", err)
	}
	config := feed.Config{Feed: n.ledger.Feed(), Registry: register, Leases: n.feed.leases, Now: n.now, Logger: n.logger,
		Configuration: func(to feed.Scope) string { return n.shared(to).Revision }, Joined: n.joined}
	if n.read != nil {
		made := newSnapshots(n)
		config.Snapshots = made
		n.task("snapshots", made.run)
	}
	n.feed.server = feed.NewServer(config)
	n.feed.server.Handle("GET /v1/configuration", n.shareConfiguration)
	n.feed.server.HandleCostly("POST /v1/certificate", n.certifyForNode)
	n.feed.server.HandleCostly("POST /v1/responder", n.certifyResponder)
	l, err := listen("read nodes", n.config.Feed.Listen)
	if err != nil {
		return err
	}
	s := &http.Server{Handler: n.feed.server, TLSConfig: feed.TLSConfig(n.certificate.get, n.clientAuthorities(ca.Services), n.now), Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.RegisterOnShutdown(n.feed.server.End)
	n.addresses.Feed = "https://" + l.Addr().String()
	n.serveHTTPS("feed", l, s)
	return nil
}

// leaseEvery is how often leases are written down and those of other writers read: often enough for who looks, and
// seldom enough that hundreds of nodes cost one short transaction now and then. Where there may be other writers, whoever
// waits for nodes at one of them waits so long: leaseShared.
const (
	leaseEvery  = 5 * time.Second
	leaseShared = time.Second
)

// joined writes down at once that a node follows.
func (n *node) joined(ctx context.Context, s feed.NodeState) error {
	_, err := n.feed.register.SaveLeases(ctx, []feed.NodeState{s}, time.Time{})
	return err
}

// gather takes what other writers of the ledger have heard of nodes.
func (f *feedSide) gather(ctx context.Context) error {
	return f.register.LoadLeases(ctx, f.leases.Note)
}

// keepLeases shares what nodes say of themselves through the ledger, until ctx ends.
func (n *node) keepLeases(ctx context.Context) error {
	var saved time.Time
	every := leaseEvery
	if strings.HasPrefix(n.config.Ledger.URL, "postgres") {
		every = leaseShared
	}
	for {
		now := n.now()
		states, err := n.feed.leases.Applied(ctx)
		states = append(states, n.feed.leases.Copies()...) // of a read role beside this one
		if n.feed.copy != "" {
			states = append(states, n.ownState())
		}
		if err == nil {
			_, err = n.feed.register.SaveLeases(ctx, states, saved)
		}
		if err == nil {
			saved = now
			err = n.feed.gather(ctx)
		}
		if err != nil && ctx.Err() == nil {
			n.logger.Warn("sharing the read nodes' leases", "error", err)
		}
		select {
		case <-ctx.Done():
			return n.leave(context.WithoutCancel(ctx))
		case <-time.After(every):
		}
	}
}

// leaveWait is how long an ending process tries to say that its copy answers nothing more: who does not hear it waits for
// the copy, and calls it one that may still answer until its limits are over.
const leaveWait = 5 * time.Second

// leave says that the copy in this process has ended. Where it cannot, others wait for it to refuse by itself.
func (n *node) leave(ctx context.Context) error {
	if n.feed.copy == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, leaveWait)
	defer cancel()
	if err := n.feed.register.DropLease(ctx, n.feed.copy); err != nil {
		n.logger.Warn("leaving", "error", err)
	}
	return nil
}
