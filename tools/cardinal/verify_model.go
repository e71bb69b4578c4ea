package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
)

// model is what the journal alone says is true: the verifier's own reading of it, made without the
// registers, the replica or their code. Everything else is measured against it.
type model struct {
	issuers      map[certs.IssuerID]certs.IssuerAdded
	certificates map[certs.Ref]certs.RecordedCertificate
	statuses     map[certs.Ref]certs.Status
	changed      map[certs.Ref]time.Time // when the status was: a hold made final keeps its own date
	lists        map[listKey]certs.ListPublished
	stages       map[certs.IssuerID]certs.GenerationChanged // where each issuer stands, as said last
	changes      int
}

type listKey struct {
	issuer certs.IssuerID
	name   certs.ListName
}

func newModel() *model {
	return &model{
		issuers:      map[certs.IssuerID]certs.IssuerAdded{},
		certificates: map[certs.Ref]certs.RecordedCertificate{},
		statuses:     map[certs.Ref]certs.Status{},
		changed:      map[certs.Ref]time.Time{},
		lists:        map[listKey]certs.ListPublished{},
		stages:       map[certs.IssuerID]certs.GenerationChanged{},
	}
}

// apply reads one change. A body that cannot be read, or one that contradicts an earlier change, is
// an error naming the position.
func (m *model) apply(c *journal.Change) error {
	m.changes++
	if c.Erased {
		return nil
	}
	if err := m.applyBody(c); err != nil {
		return fmt.Errorf("position %d (%s): %w", c.Position, c.Kind, err)
	}
	return nil
}

func (m *model) applyBody(c *journal.Change) error {
	switch c.Kind {
	case journal.KindIssuerAdded:
		return m.addIssuer(c.Body)
	case journal.KindCertificatesRecorded:
		return m.record(c.Body)
	case journal.KindStatusChanged:
		return m.changeStatus(c.Body, c.Time)
	case journal.KindListPublished:
		return m.publish(c.Body)
	case journal.KindGenerationChanged:
		return m.stage(c.Body)
	}
	return nil // the directory is measured by rebuilding its copy
}

func (m *model) addIssuer(body []byte) error {
	added, err := certs.ParseIssuerAdded(body)
	if err != nil {
		return err
	}
	own, err := readOwnCertificate(added.DER)
	if err != nil {
		return err
	}
	added.DER = slices.Clone(added.DER)
	m.issuers[own.keyID] = added
	return nil
}

func (m *model) stage(body []byte) error {
	changed, err := certs.ParseGenerationChanged(body)
	m.stages[changed.Issuer] = changed
	return err
}

// statusOf is what is to be answered about a certificate: its own status, or that of the issuer's certificate when that
// was revoked and it was not.
func (m *model) statusOf(ref certs.Ref) certs.Status {
	own := m.statuses[ref]
	if own.State == certs.StateRevoked {
		return own
	}
	if above := m.statuses[m.above(ref.Issuer)]; above.State == certs.StateRevoked {
		return above
	}
	return own
}

// above names an issuer's own certificate; a root has none.
func (m *model) above(issuer certs.IssuerID) certs.Ref {
	own, err := readOwnCertificate(m.issuers[issuer].DER)
	if err != nil {
		return certs.Ref{} // addIssuer has read it
	}
	serial, err := certs.SerialFromBig(own.serial)
	if err != nil {
		return certs.Ref{}
	}
	for id, added := range m.issuers {
		root, err := readOwnCertificate(added.DER)
		if err == nil && id != issuer && bytes.Equal(root.subject, own.issuer) {
			return certs.Ref{Issuer: id, Serial: serial}
		}
	}
	return certs.Ref{}
}

func (m *model) record(body []byte) error {
	recorded, err := certs.ParseRecorded(body)
	if err != nil {
		return err
	}
	for _, c := range recorded.Certificates {
		ref := certs.Ref{Issuer: recorded.Issuer, Serial: c.Serial}
		if _, twice := m.certificates[ref]; twice {
			return fmt.Errorf("serial %s is recorded twice", c.Serial.Hex())
		}
		m.certificates[ref] = c
	}
	return nil
}

func (m *model) changeStatus(body []byte, at time.Time) error {
	change, err := certs.ParseStatusChange(body)
	if err != nil {
		return err
	}
	for _, serial := range change.Serials {
		ref := certs.Ref{Issuer: change.Issuer, Serial: serial}
		if _, known := m.certificates[ref]; !known {
			return fmt.Errorf("serial %s changes status but was never recorded", serial.Hex())
		}
		if m.statuses[ref].State == certs.StateRevoked && change.Status.State != certs.StateRevoked {
			return fmt.Errorf("serial %s was revoked and is %s again", serial.Hex(), change.Status.State)
		}
		m.statuses[ref], m.changed[ref] = change.Status, at
	}
	return nil
}

func (m *model) publish(body []byte) error {
	list, err := certs.ParseListPublished(body)
	if err != nil {
		return err
	}
	key := listKey{list.Issuer, list.Name()}
	if before, ok := m.lists[key]; ok && list.Number <= before.Number {
		return fmt.Errorf("list number %d follows %d", list.Number, before.Number)
	}
	m.lists[key] = list
	return nil
}

// refs returns every certificate in a fixed order.
func (m *model) refs() []certs.Ref {
	return slices.SortedFunc(maps.Keys(m.certificates), func(a, b certs.Ref) int {
		if c := slices.Compare(a.Issuer[:], b.Issuer[:]); c != 0 {
			return c
		}
		return compareText(string(a.Serial), string(b.Serial))
	})
}

// listed returns the certificates each complete list is about.
func (m *model) listed() map[listKey][]certs.Ref {
	all := map[listKey][]certs.Ref{}
	for ref, c := range m.certificates {
		for _, name := range []certs.ListName{certs.ShardList(c.Shard), {Kind: certs.ListFull}, {Kind: certs.ListArchive}} {
			key := listKey{ref.Issuer, name}
			all[key] = append(all[key], ref)
		}
	}
	return all
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// sameStatus compares statuses to the second, which is what certificates and answers carry.
func sameStatus(a, b certs.Status) bool {
	same := func(x, y time.Time) bool { return x.Unix() == y.Unix() }
	return a.State == b.State && a.Reason == b.Reason && same(a.At, b.At) && same(a.Invalidity, b.Invalidity)
}
