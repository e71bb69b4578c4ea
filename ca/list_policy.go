package ca

import (
	"slices"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
)

// ListPolicy says which lists there are and how often they are made. The zero
// value is the policy its fields describe as default.
type ListPolicy struct {
	// Debounce is how soon a list that was just made is made again for a
	// change; the first change is published at once. Default 10 s.
	Debounce time.Duration
	// Interval is how old a list gets without any change. Default 1 h.
	Interval time.Duration
	// Life is how long after thisUpdate the next list is due at the latest: how
	// long relying systems live through our absence. Default 7 days.
	Life time.Duration
	// Full has lists made of all certificates of an issuer, for systems that
	// are given lists by hand and do not follow the URLs in certificates.
	Full bool
	// Delta has lists made of what changed since an earlier complete one.
	Delta bool
	// DeltaBase is how old the list a delta stands on gets before a newer one
	// takes its place: whoever fetched a complete one within it can use deltas.
	// Default 24 h.
	DeltaBase time.Duration
	// Archive are the issuers, by kind, whose ended certificates stay on a list
	// of their own. Default signing; an empty slice means none.
	Archive []string
	// ArchiveInterval is how old an archive gets. Default 24 h.
	ArchiveInterval time.Duration
	// ArchiveYears is how long after its end a certificate stays on it. Default 11.
	ArchiveYears int
}

// rootListMonths is how long the root's list lives, whose key has to be brought.
const rootListMonths = 6

func (p ListPolicy) withDefaults() ListPolicy {
	for to, value := range map[*time.Duration]time.Duration{&p.Debounce: 10 * time.Second, &p.Interval: time.Hour,
		&p.Life: 7 * 24 * time.Hour, &p.DeltaBase: 24 * time.Hour, &p.ArchiveInterval: 24 * time.Hour} {
		if *to <= 0 {
			*to = value
		}
	}
	if p.Archive == nil {
		p.Archive = []string{Signing}
	}
	if p.ArchiveYears <= 0 {
		p.ArchiveYears = 11
	}
	return p
}

// has reports whether the policy wants a list of an authority. The root has
// one complete list and no other.
func (p *ListPolicy) has(at *hand, which certs.ListName) bool {
	switch {
	case which.Kind == certs.ListArchive:
		return slices.Contains(p.Archive, certs.IssuerKind(at.name)) && !which.Delta
	case at.isRoot():
		return which == certs.ListName{}
	case which.Kind == certs.ListShard && which.Shard >= at.Shards:
		return false
	}
	return (which.Kind == certs.ListShard || p.Full) && (!which.Delta || p.Delta)
}

// complete are the complete lists of an authority that the policy wants.
func (p *ListPolicy) complete(at *hand) []certs.ListName {
	var out []certs.ListName
	for shard := range at.Shards {
		out = append(out, certs.ShardList(shard))
	}
	for _, kind := range []certs.ListKind{certs.ListFull, certs.ListArchive} {
		if which := (certs.ListName{Kind: kind}); p.has(at, which) {
			out = append(out, which)
		}
	}
	return out
}

// interval is how old a list gets without any change.
func (p *ListPolicy) interval(which certs.ListName) time.Duration {
	if which.Kind == certs.ListArchive {
		return p.ArchiveInterval
	}
	return p.Interval
}

// nextUpdate is when a list made at asOf is due to be replaced at the latest. A
// delta ends with what it stands on: after that a complete list is needed.
func (p *ListPolicy) nextUpdate(at *hand, which certs.ListName, asOf time.Time) time.Time {
	switch {
	case at.stage != nil && at.stage.How == register.StoppedRetired: // this is the last
		return never()
	case at.isRoot():
		return asOf.AddDate(0, rootListMonths, 0)
	case which.Delta:
		return asOf.Add(min(p.Life, p.DeltaBase))
	}
	return asOf.Add(p.Life)
}

// ListsOf names the complete lists the policy wants of an authority; nil when
// there is no authority of that name.
func (a *Authority) ListsOf(issuer string) []certs.ListName {
	if at := a.known.Load().byName[issuer]; at != nil {
		return a.Lists.complete(at)
	}
	return nil
}
