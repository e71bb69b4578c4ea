package main

import (
	"time"

	"go.yaml.in/yaml/v3"
)

// ReplicaConfig shapes the copy of the ledger that this node answers from.
type ReplicaConfig struct {
	// Sync is how long what the copy shows may be on the ledger's disk alone, or "always". Default 1s.
	Sync SyncLag `yaml:"sync"`
}

// SyncLag is a duration, or "always": below zero.
type SyncLag time.Duration

const (
	syncAlways = SyncLag(-1)
	// maxSyncLag bounds what a power cut takes from the copy, and what the copy
	// grows by, since it writes over nothing of what was synced last.
	maxSyncLag = SyncLag(time.Minute)
)

// after is what the replica takes: 0 is always.
func (l SyncLag) after() time.Duration { return max(0, time.Duration(l)) }

// String gives the duration as it is configured.
func (l SyncLag) String() string {
	if l < 0 {
		return "always"
	}
	return time.Duration(l).String()
}

// UnmarshalYAML takes a duration above zero, or "always".
func (l *SyncLag) UnmarshalYAML(n *yaml.Node) error {
	if n.Value == "always" {
		*l = syncAlways
		return nil
	}
	d, err := time.ParseDuration(n.Value)
	if err != nil || d <= 0 || SyncLag(d) > maxSyncLag {
		return badNode(n, "is neither a duration up to 1m nor always")
	}
	*l = SyncLag(d)
	return nil
}
