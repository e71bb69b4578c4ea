package main

import (
	"time"

	"cardinal/directory/ldap"
	"cardinal/directory/tree"
)

// HistoryConfig bounds what is kept of what changed in the directory, for those
// who follow it: another directory by content sync, a persistent search, a
// reader of the change log. Whoever was away for longer than it reaches is given
// the whole content again. Past any bound the oldest changes go.
type HistoryConfig struct {
	// Changes is how many are kept at most. Default 500000.
	Changes uint64 `yaml:"changes"`
	// Age is how long one is kept. Default 168h, so that a follower survives a long weekend.
	Age time.Duration `yaml:"age"`
	// Bytes is what they may take in the replica. Default 536870912 (512 MiB), about 1 KiB a change.
	Bytes uint64 `yaml:"bytes"`
}

func (h HistoryConfig) check(bad func(key, format string, args ...any)) {
	if h.Age < 0 {
		bad("directory.history.age", "is negative")
	}
}

// FollowersConfig bounds those who follow changes: by content sync or persistent search. They hold no
// queue: one who does not keep up falls behind in history, and begins anew behind its end.
type FollowersConfig struct {
	// Total is how many such searches there are at most. Default 5000.
	Total int `yaml:"total"`
	// PerIdentity is the share of one identity. Default 500.
	PerIdentity int `yaml:"perIdentity"`
	// PerConnection is the share of one connection. Default 20.
	PerConnection int `yaml:"perConnection"`
}

func (f FollowersConfig) check(bad func(key, format string, args ...any)) {
	for key, n := range map[string]int{"total": f.Total, "perIdentity": f.PerIdentity, "perConnection": f.PerConnection} {
		if n < 0 {
			bad("directory.followers."+key, "is negative")
		}
	}
}

func (h HistoryConfig) bounds() tree.History {
	return tree.History{Changes: h.Changes, Age: h.Age, Bytes: h.Bytes}
}

// ldapLimits are the limits the directory's server takes from the configuration.
func (c Config) ldapLimits() ldap.Limits {
	l, f := c.Limits, c.Directory.Followers
	return ldap.Limits{MaxConnections: l.Connections, Size: l.SearchEntries, Time: l.SearchTime, Age: l.DirectoryAge, Write: l.Stalled,
		MaxFollowing: f.Total, MaxFollowingPerIdentity: f.PerIdentity, MaxFollowingPerConnection: f.PerConnection}
}
