package main

import (
	"context"
	"sync"
	"time"

	"cardinal/internal/journal"
	"cardinal/issuance/server"
)

// localNode is how the copy beside the issuance server is called.
const localNode = "this node"

// nodesOf is every node that answers from a copy: the one in this process,
// those that follow the feed, and those inside other writers of the ledger.
type nodesOf struct {
	n     *node
	mu    sync.Mutex
	moved chan struct{}
}

var _ server.Nodes = (*nodesOf)(nil)

// Applied implements server.Nodes.
func (o *nodesOf) Applied(ctx context.Context) ([]server.Node, error) {
	head, err := o.n.ledger.Head(ctx)
	if err != nil {
		return nil, err
	}
	var all []server.Node
	now := o.n.now()
	if o.n.read != nil {
		s := o.n.read.replica.State()
		all = append(all, server.Node{Name: localNode, Live: true, Position: within(head.Epoch, s.Epoch, s.Position), AsOf: s.Time, Seen: now,
			RefusesStatus: s.Time.Add(o.n.config.Limits.OCSPAge), RefusesDirectory: s.Time.Add(o.n.config.Limits.DirectoryAge)})
	}
	if o.n.feed == nil {
		return all, nil
	}
	states, err := o.n.feed.leases.Applied(ctx)
	for _, other := range o.n.feed.leases.Copies() {
		if ocsp, directory := other.Refuses(); other.Name != o.n.feed.copy && (ocsp.After(now) || directory.After(now)) {
			states = append(states, other)
		}
	}
	for i := range states {
		s := &states[i]
		one := server.Node{Name: s.Name, Live: s.Live(now), Disabled: s.Disabled, Position: within(head.Epoch, s.Epoch, s.Position), AsOf: s.AsOf, Seen: s.Seen}
		one.RefusesStatus, one.RefusesDirectory = s.Refuses()
		all = append(all, one)
	}
	return all, err
}

// Gather implements server.Nodes.
func (o *nodesOf) Gather(ctx context.Context) error {
	if o.n.feed == nil {
		return nil
	}
	return o.n.feed.gather(ctx)
}

// within is a copy's position in the history that counts: none, while it answers from one that a restore dropped.
func within(now, of journal.Epoch, p journal.Position) journal.Position {
	if now != of {
		return 0
	}
	return p
}

// Changed implements server.Nodes.
func (o *nodesOf) Changed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.moved == nil {
		o.moved = make(chan struct{})
	}
	return o.moved
}

func (o *nodesOf) poke() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.moved != nil {
		close(o.moved)
		o.moved = nil
	}
}

// listen pokes whenever the copy here, or a node elsewhere, has moved on, until
// ctx ends.
func (o *nodesOf) listen(ctx context.Context) error {
	var g sync.WaitGroup
	if o.n.read != nil {
		g.Go(func() { o.listenHere(ctx) })
	}
	if o.n.feed != nil {
		g.Go(func() { o.listenElsewhere(ctx) })
	}
	g.Wait()
	return nil
}

func (o *nodesOf) listenHere(ctx context.Context) {
	for r := o.n.read.replica; ctx.Err() == nil; {
		if err := r.WaitFor(ctx, r.State().Position+1); err != nil {
			select { // following ended for good: the others still count
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
		o.poke()
	}
}

func (o *nodesOf) listenElsewhere(ctx context.Context) {
	for {
		changed := o.n.feed.leases.Changed()
		select {
		case <-ctx.Done():
			return
		case <-changed:
			o.poke()
		}
	}
}
