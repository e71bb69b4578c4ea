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
	defaultDelay    = time.Second
	maxDelay        = 10 * time.Second
	defaultInterval = time.Hour
	// intentAge is how old an open intent must be before a running process
	// takes it for abandoned: far over the minute an approval lives.
	intentAge = 10 * time.Minute
)

// Publisher keeps the lists new. Delay is how long it collects changes after
// the first before it publishes the shards they touch (0: 1 s, at most 10 s),
// Interval how old a list gets without any change (0: an hour, at most that).
type Publisher struct {
	Authority *Authority
	Delay     time.Duration
	Interval  time.Duration
}

// Run publishes until ctx ends, and then returns nil. A list that cannot be
// made is logged and tried again. Several publishers on one ledger get in each
// other's way without harm.
func (p *Publisher) Run(ctx context.Context) error {
	delay, interval := p.Delay, p.Interval
	if delay <= 0 {
		delay = defaultDelay
	}
	if interval <= 0 {
		interval = defaultInterval
	}
	delay, interval = min(delay, maxDelay), min(interval, defaultInterval)
	var swept time.Time
	for {
		seen, err := p.round(ctx, interval)
		if err == nil && p.Authority.Now().Sub(swept) >= interval {
			swept = p.Authority.Now()
			err = p.Authority.recoverBefore(ctx, swept.Add(-intentAge))
		}
		if err != nil && ctx.Err() == nil {
			p.Authority.Logger.Error("publishing lists", "error", err)
		}
		if !p.rest(ctx, seen, delay) {
			return nil
		}
	}
}

// rest waits for something to do, a commit after the one seen or a heartbeat by
// which time passes, and then lets changes gather. False ends the publisher.
func (p *Publisher) rest(ctx context.Context, seen journal.Position, delay time.Duration) bool {
	bounded, cancel := context.WithTimeout(ctx, maxDelay) // lists grow old without any commit
	defer cancel()
	if err := p.Authority.Ledger.Feed().Wait(bounded, seen); errors.Is(err, ledger.ErrClosed) {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(delay):
		return true
	}
}

// round publishes every list that is due, as many as it can, and gives the
// position up to which it looked. The root's list is made by hand.
func (p *Publisher) round(ctx context.Context, interval time.Duration) (journal.Position, error) {
	a := p.Authority
	var shards []register.Shard
	var seen journal.Position
	err := a.Ledger.Read(ctx, func(tx *ledger.Tx) (err error) {
		seen = tx.Head().Position
		if !tx.Head().Quarantine {
			shards, err = register.Shards(tx)
		}
		return err
	})
	if err != nil {
		return seen, fmt.Errorf("looking for lists to publish: %w", err)
	}
	errs := []error{a.Refresh(ctx)}
	known := a.known.Load()
	for i := range shards {
		s := &shards[i]
		at := known.byKey[s.Issuer]
		if at == nil || certs.IssuerKind(at.name) == Root || at.Signer == nil || !due(s, a.Now(), interval) {
			continue
		}
		if _, err := a.publish(ctx, at, s.Shard); err != nil && !errors.Is(err, register.ErrListOvertaken) {
			errs = append(errs, err)
		}
	}
	return seen, errors.Join(errs...)
}

func due(s *register.Shard, now time.Time, interval time.Duration) bool {
	return s.List.Number == 0 || s.Changes > s.Listed || now.Sub(s.List.ThisUpdate) >= interval
}
