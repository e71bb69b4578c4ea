package main

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cardinal/certs"
	"cardinal/internal/ledger"
)

// checkLists verifies the newest list of every name: bytes, signature, number, and that it shows
// what the journal had revoked when it was made, and nothing else.
func (v *verifier) checkLists(tx *ledger.Tx) error {
	about := v.model.listed()
	bar := v.a.progress("lists", int64(len(v.model.lists)))
	nameOf := func(key listKey) string { return fmt.Sprintf("list %s/%s", v.model.issuers[key.issuer].Name, key.name) }
	for _, key := range slices.SortedFunc(maps.Keys(v.model.lists), func(a, b listKey) int { return strings.Compare(nameOf(a), nameOf(b)) }) {
		list, name := v.model.lists[key], nameOf(key)
		der, err := tx.Content(list.Content)
		switch {
		case err != nil:
			v.found(name, "%v", err)
		case sha256.Sum256(der) != list.Content:
			v.found(name, "its bytes have been changed: SHA-256 is not %x", list.Content)
		default:
			v.checkList(listChecked{name: name, key: key, said: list, about: about[key]}, der)
		}
		bar.add(1)
	}
	bar.finish()
	v.report.Lists = len(v.model.lists)
	return nil
}

// listChecked is a list and what is known of it.
type listChecked struct {
	name  string
	key   listKey
	said  certs.ListPublished
	own   *ownList
	about []uint32 // the certificates a complete one is about, by their places in the roll
}

func (v *verifier) checkList(l listChecked, der []byte) {
	var err error
	if l.own, err = readOwnList(der); err != nil {
		v.found(l.name, "reading it: %v", err)
		return
	}
	if l.own.number != l.said.Number || l.own.thisUpdate.Unix() != l.said.ThisUpdate.Unix() || l.own.nextUpdate.Unix() != l.said.NextUpdate.Unix() {
		v.found(l.name, "the list says number %d of %s, the journal %d of %s", l.own.number, l.own.thisUpdate, l.said.Number, l.said.ThisUpdate)
	}
	by := v.model.signer(l.key.issuer)
	if by.err == nil {
		by.err = l.own.checkSignature(by.certificate)
	}
	if by.err != nil {
		v.found(l.name, "%v", by.err)
	}
	if l.key.name.Delta {
		err = v.checkDelta(l)
	} else {
		err = v.checkListed(l)
	}
	if err != nil {
		v.found(l.name, "reading it: %v", err)
	}
}

// recordedIn is the certificate an entry is about, nil if the journal never recorded it where the list is about.
func (v *verifier) recordedIn(l listChecked, entry ownListEntry) *recorded {
	c := v.model.roll.at(l.key.issuer, entry.serial)
	if c != nil && l.key.name.Kind == certs.ListShard && c.shard != l.key.name.Shard {
		return nil
	}
	return c
}

// checkDelta compares a delta, which may leave out any, entry by entry.
func (v *verifier) checkDelta(l listChecked) error {
	return l.own.each(func(entry ownListEntry) {
		c := v.recordedIn(l, entry)
		if c == nil {
			v.found(l.name, "shows %s, which the journal never recorded there", entry.serial.Hex())
			return
		}
		if status := c.status(); !c.changedSince(l.own.thisUpdate.Add(-time.Second)) && (entry.reason == certs.ReasonRemoveFromCRL) != (status.State == certs.StateGood) {
			v.found(l.name, "shows %s with %s, the journal has %s", entry.serial.Hex(), entry.reason, statusText(status))
		}
	})
}

// checkListed compares a list with the statuses of its shard. What changed after the list was made
// is in the next one, and expired certificates leave the lists (RFC 5280 §3.3).
func (v *verifier) checkListed(l listChecked) error {
	old := func(c *recorded) bool {
		return second(c.notAfter).Before(l.own.thisUpdate) || c.changedSince(l.own.thisUpdate.Add(-time.Second))
	}
	for _, n := range l.about {
		v.model.roll.place(n).listed = false
	}
	err := l.own.each(func(entry ownListEntry) {
		c := v.recordedIn(l, entry)
		if c == nil {
			v.found(l.name, "shows %s, which the journal never recorded in this shard", entry.serial.Hex())
			return
		}
		c.listed = true
		if status := c.status(); status.State == certs.StateRevoked && (entry.reason != status.Reason || entry.at.Unix() != status.At.Unix()) && !old(c) {
			v.found(l.name, "shows %s with %s since %s, the journal has %s", c.hex(), entry.reason, entry.at, statusText(status))
		}
	})
	for _, n := range l.about {
		c := v.model.roll.place(n)
		if status := c.status(); !c.listed && status.State != certs.StateGood && !old(c) {
			v.found(l.name, "does not show %s, which is %s", c.hex(), statusText(status))
		}
	}
	return err
}
