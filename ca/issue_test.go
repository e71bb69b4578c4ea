package ca_test

import "testing"

func TestSmoke(t *testing.T) {
	w := newWorld(t)
	t.Log(len(w.issue(w.pair("900000000017", "c1"))))
}
