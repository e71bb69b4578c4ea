package main

import (
	"reflect"
	"slices"
	"time"

	"cardinal/ca"
)

// ListsConfig says which certificate revocation lists there are and how often
// they are made. Lists of the shards there are always: certificates name them.
type ListsConfig struct {
	// Debounce is how soon a list that was just made is made again for a change; the first change is published at once. Default 10s.
	Debounce time.Duration `yaml:"debounce"`
	// Interval is how old a list gets without any change. Default 1h.
	Interval time.Duration `yaml:"interval"`
	// Life is how long after a list was made the next is due at the latest (nextUpdate). Default 168h.
	Life time.Duration `yaml:"life"`
	// Full has /crl/NAME/full.crl made: every certificate of a CA on one list. Default false.
	Full bool `yaml:"full"`
	// Delta has …-delta.crl made beside each complete list: what changed since an earlier one. Default false.
	Delta bool `yaml:"delta"`
	// DeltaBase is how old the list gets that deltas stand on. Default 24h.
	DeltaBase time.Duration `yaml:"deltaBase"`
	// Archive are the CAs with /crl/NAME/archive.crl, on which certificates stay after their end. Default [signing]; [] for none.
	Archive []string `yaml:"archive"`
	// ArchiveInterval is how old an archive gets. Default 24h.
	ArchiveInterval time.Duration `yaml:"archiveInterval"`
	// ArchiveYears is how long after its end a certificate stays on it. Default 11.
	ArchiveYears int `yaml:"archiveYears"`
	// Directory are the lists that stand in the directory too, of those that are made: shards, full, delta, archive. Default [shards]; [] for none.
	Directory []string `yaml:"directory"`
}

// Set reports whether anything is configured.
func (l ListsConfig) Set() bool { return !reflect.ValueOf(l).IsZero() }

// policy is what the CA is told.
func (l *ListsConfig) policy() ca.ListPolicy {
	return ca.ListPolicy{Debounce: l.Debounce, Interval: l.Interval, Life: l.Life, Full: l.Full, Delta: l.Delta, DeltaBase: l.DeltaBase,
		Archive: l.Archive, ArchiveInterval: l.ArchiveInterval, ArchiveYears: l.ArchiveYears}
}

// The bounds of what may be configured.
const (
	maxDebounce  = 10 * time.Minute
	maxInterval  = 24 * time.Hour // what revocation lists are made anew within where the law says how often
	maxListYears = 50
)

func (l *ListsConfig) check(bad func(key, format string, args ...any)) {
	within := func(key string, d, least, most time.Duration) {
		if d != 0 && (d < least || d > most) {
			bad("lists."+key, "%s is not from %s to %s", d, least, most)
		}
	}
	within("debounce", l.Debounce, time.Second, maxDebounce)
	within("interval", l.Interval, time.Minute, maxInterval)
	within("life", l.Life, 2*max(l.Interval, time.Hour), 31*24*time.Hour)
	within("deltaBase", l.DeltaBase, time.Hour, 31*24*time.Hour)
	within("archiveInterval", l.ArchiveInterval, time.Hour, 7*24*time.Hour)
	if l.ArchiveYears < 0 || l.ArchiveYears > maxListYears {
		bad("lists.archiveYears", "%d is not from 1 to %d", l.ArchiveYears, maxListYears)
	}
	for _, which := range l.Directory {
		if !slices.Contains([]string{listShards, listFull, listDelta, listArchive}, which) {
			bad("lists.directory", "%q is none of shards, full, delta, archive", which)
		}
	}
	for _, name := range l.Archive {
		if !slices.Contains(ca.Names()[1:], name) {
			bad("lists.archive", "there is no issuing CA %q", name)
		}
	}
}
