package ca

import (
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
)

// How much of a processor lists may take.
const (
	// share is how many times longer than it took to make it a list is left
	// alone at least: no list costs more than a twentieth of a processor.
	share = 20
	// usual is how many times longer than it took to make one list the publisher
	// rests: all lists together cost a sixth of a processor.
	usual = 5
	// mostRest bounds a rest: a list that took long on a disk that is busy has
	// waited and not worked, and the others must not wait for that.
	mostRest = 2 * time.Second
	// listedAfter is how soon a single card that is cancelled stands on its list:
	// 15 s are promised. It rests as that permits, though all lists have to be
	// made, but always for a part of what the last one took.
	listedAfter = 13 * time.Second
	hurry       = 4
	// mostShare bounds what share adds: no list waits longer for its turn, or a
	// disk that is slow once would break the promise.
	mostShare = 5 * time.Second
	// A list that is only old waits this many times longer for its turn than one
	// that lacks a card, and after a start begins to wait with it: there all may
	// be old.
	patience = 4
	// hurryMany is of how many lists that lack single cards each is made in a
	// hurry.
	hurryMany = 4
	// An order that is being worked off changes orderLeast certificates of a
	// shard before its list is made again, and has changed one orderLull ago at
	// most: that is no reason to hurry, since the next list lacks as many again.
	orderLeast = 500
	orderLull  = 3 * time.Second
)

// due is the list to be made next. It has waited for so long, or need not be
// made for as long as waits is negative.
type due struct {
	list  *register.Shard
	waits time.Duration
	// Of the lists that lack single cards, how many there are and for how long
	// the first of them has lacked one. What an order at work changes is not
	// among them.
	stale int
	lacks time.Duration
}

// pause is how long to rest after it was made. Whatever nobody has ever seen is
// made with short rests, and so are lists that would be late otherwise.
func (d *due) pause(took time.Duration) time.Duration {
	if d.list.List.Number == 0 {
		return min(took, mostRest)
	}
	rest := usual * took
	if d.stale > 0 {
		each := (listedAfter - d.lacks) / time.Duration(d.stale)
		rest = max(min(rest, each-took), took/hurry)
	}
	return min(rest, mostRest)
}

// first finds the list that has waited longest. What nobody has ever seen comes
// before all others.
func (p *Publisher) first(states []register.Shard, now time.Time) due {
	next := due{waits: -idle}
	looked := time.Now()
	if p.looked.IsZero() {
		p.looked = looked
	}
	for i := range states {
		s := &states[i]
		waits := p.waits(s, now)
		if s.List.Number == 0 && waits >= 0 {
			waits = max(waits, forever)
		}
		since, stale := p.stale[listOf{s.Issuer, s.Which}]
		if order := s.Changes-s.Listed >= orderLeast && now.Sub(s.Changed) < orderLull; stale && !order {
			next.stale++
			next.lacks = max(next.lacks, time.Since(since))
		}
		if waits > next.waits {
			next.list, next.waits = s, waits
		}
	}
	p.looked = looked
	return next
}

// forever is longer than any list that was ever made waits.
const forever = 1000 * time.Hour

// waits is how long a list has been due, or, negative, how long it is not
// without further changes. Age is counted by the ledger's time, which never
// goes back, and by this process's own, which goes on when the ledger's waits
// for the host's clock to catch up.
func (p *Publisher) waits(s *register.Shard, now time.Time) time.Duration {
	policy := &p.Authority.Lists
	name := listOf{s.Issuer, s.Which}
	interval := policy.interval(s.Which)
	made, mine := p.made[name]
	if mine && p.Authority.last.get(name).bare {
		interval = min(interval, packAfter)
	}
	since := time.Since(made.at)
	waits := now.Sub(s.List.ThisUpdate) - interval
	if mine {
		waits = max(waits, since-interval)
	}
	if waits > 0 {
		waits = min(waits, time.Since(p.begun)) / patience
	}
	if s.List.Number == 0 || s.Changes > s.Listed && s.Which.Kind != certs.ListArchive {
		if p.stale[name].IsZero() { // it came after the last look
			p.stale[name] = p.looked
		}
		waits = max(waits, time.Since(p.stale[name]))
	} else {
		delete(p.stale, name)
	}
	if rest := min(max(policy.Debounce, min(share*made.took, mostShare)), interval); mine && since < rest {
		waits = min(waits, since-rest)
	}
	return waits
}
