package main

import (
	"crypto/tls"
	"testing"
	"time"
)

// Commands that open the folder themselves go by the clock its server goes by: a node can be added to a demo of later
// years, and its certificate is of that time.
func TestCommandsGoByTheClockOfTheInstallation(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	w := newFollowWorld(t)
	w.ahead = 1000 * time.Hour
	w.configure(w.path("w"))
	w.serveWriter(w.path("w"))
	w.enrol("later-1", "central")
	own, err := tls.LoadX509KeyPair(w.path("later-1", "node.cer"), w.path("later-1", "node.key"))
	w.check(err)
	leaf := own.Leaf
	if now := time.Now().Add(w.ahead); leaf.NotBefore.After(now) || leaf.NotBefore.Before(now.Add(-time.Hour)) {
		t.Errorf("added at %s, it counts from %s", now, leaf.NotBefore)
	}
	w.follow("later-1", w.feed)
	w.run("node", "list", "--dir", w.path("w"), "--json")
	w.run("node", "disable", "later-1", "--dir", w.path("w"), "--reason", "the demo is over")
}
