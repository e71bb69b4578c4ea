package main

import (
	"time"

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

func (h HistoryConfig) bounds() tree.History {
	return tree.History{Changes: h.Changes, Age: h.Age, Bytes: h.Bytes}
}
