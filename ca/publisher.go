package ca

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// Limits of the publisher.
const (
	// gather is the pause after which it looks at what was committed meanwhile:
	// a busy ledger commits hundreds of times a second.
	gather = 200 * time.Millisecond
	// idle is how long it waits for a commit: lists grow old without any.
	idle = 10 * time.Second
	// sweepEvery is how often it looks for what interrupted processes left.
	sweepEvery = time.Hour
	// intentAge is how old an open intent must be before a running process
	// takes it for abandoned: far over the minute an approval lives.
	intentAge = 10 * time.Minute
	// pastAge is how long a list's content is kept after it was replaced: a
	// node that was cut off at the moment of fetching it has it that long.
	pastAge = 48 * time.Hour
	// pastBatch is how many contents are dropped in one commit.
	pastBatch = 20
)

// Publisher keeps the lists new, by its authority's ListPolicy. The first
// change of a shard is published at once, further ones once the debounce is
// over. Lists are made one at a time, the one that has waited longest first;
// between them it rests as its pace says. It is used once.
type Publisher struct {
	Authority *Authority

	begun  time.Time
	made   map[listOf]making
	stale  map[listOf]time.Time // since when there are changes that are not listed
	looked time.Time
}

// making is when a list was last made by this process, by a clock that no step
// of the host's moves, and how long that took.
type making struct {
	at   time.Time
	took time.Duration
}

// listOf names a list of any issuer.
type listOf struct {
	issuer certs.IssuerID
	which  certs.ListName
}

// Run publishes until ctx ends, and then returns nil. A list that cannot be
// made is logged and tried again. Several publishers on one ledger get in each
// other's way without harm.
func (p *Publisher) Run(ctx context.Context) error {
	p.begun, p.made, p.stale = time.Now(), map[listOf]making{}, map[listOf]time.Time{}
	var swept time.Time
	for {
		begun := time.Now()
		seen, next, err := p.look(ctx)
		pause := gather
		if err == nil && next.waits >= 0 {
			began := time.Now()
			err = p.publish(ctx, next)
			pause = next.pause(time.Since(began))
		}
		if swept.IsZero() && next.waits < 0 || time.Since(swept) >= sweepEvery {
			swept = time.Now()
			err = errors.Join(err, p.sweep(ctx))
			pause = max(pause, time.Since(begun))
		}
		if err != nil && ctx.Err() == nil {
			p.Authority.Logger.Error("publishing lists", "error", err)
			pause = max(pause, gather)
		}
		if !p.rest(ctx, seen, pause, next.waits) {
			return nil
		}
	}
}

// rest pauses. Where nothing is due it then waits for something to do: a commit
// after the one seen, a heartbeat by which time passes, or the end of a
// debounce. False ends the publisher.
func (p *Publisher) rest(ctx context.Context, seen journal.Position, pause, waits time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
	}
	if waits >= 0 {
		return true
	}
	bounded, cancel := context.WithTimeout(ctx, -waits)
	defer cancel()
	if err := p.Authority.Ledger.Feed().Wait(bounded, seen); errors.Is(err, ledger.ErrClosed) {
		return false
	}
	return ctx.Err() == nil
}

// look finds the list to make next, and gives the position up to which it
// looked. The root's list is made by hand.
func (p *Publisher) look(ctx context.Context) (journal.Position, due, error) {
	var states []register.Shard
	var seen journal.Position
	var now time.Time
	refreshed := p.Authority.Refresh(ctx)
	err := p.Authority.Ledger.Read(ctx, func(tx *ledger.Tx) (err error) {
		seen, now = tx.Head().Position, tx.Time()
		if !tx.Head().Quarantine {
			states, err = p.states(tx)
		}
		return err
	})
	if err != nil {
		return seen, due{waits: -idle}, fmt.Errorf("looking for lists to publish: %w", err)
	}
	return seen, p.first(states, now), refreshed
}

// states are those of every complete list the policy wants and this process
// can sign.
func (p *Publisher) states(tx *ledger.Tx) ([]register.Shard, error) {
	a := p.Authority
	known := a.known.Load()
	all, err := register.Shards(tx)
	if err != nil {
		return nil, err
	}
	out := all[:0]
	for i := range all {
		if at := known.byKey[all[i].Issuer]; at != nil && at.Signer != nil && !at.isRoot() {
			out = append(out, all[i])
		}
	}
	for _, at := range known.byName {
		if at.Signer == nil || at.isRoot() {
			continue
		}
		for _, which := range a.Lists.complete(at)[at.Shards:] {
			s, err := register.LastList(tx, at.id, which)
			if err != nil {
				return nil, err
			}
			out = append(out, s)
		}
	}
	return out, nil
}

// publish makes one list. A failure counts as made: it is tried again after
// the debounce and not at once.
func (p *Publisher) publish(ctx context.Context, next due) error {
	begun := time.Now()
	s := next.list
	name := listOf{s.Issuer, s.Which}
	delete(p.stale, name)
	_, err := p.Authority.publish(ctx, wanted{at: p.Authority.known.Load().byKey[s.Issuer], which: s.Which, again: true,
		hurry: next.stale >= hurryMany})
	p.made[name] = making{time.Now(), time.Since(begun)}
	if errors.Is(err, register.ErrListOvertaken) {
		return nil
	}
	return err
}

// sweep settles what interrupted processes left open and drops lists that were
// replaced long ago.
func (p *Publisher) sweep(ctx context.Context) error {
	a := p.Authority
	if err := a.recoverBefore(ctx, a.Now().Add(-intentAge)); err != nil {
		return err
	}
	if _, err := a.Ledger.Write(ctx, register.ForgetUnpublished); err != nil {
		return fmt.Errorf("looking for lists nobody announced: %w", err)
	}
	for {
		n := 0
		_, err := a.Ledger.Write(ctx, func(tx *ledger.Tx) (err error) {
			n, err = register.DropPast(tx, tx.Time().Add(-pastAge), pastBatch)
			return err
		})
		if err != nil || n == 0 {
			return err
		}
	}
}
