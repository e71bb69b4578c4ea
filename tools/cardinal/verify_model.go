package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
)

// model is what the journal alone says is true: the verifier's own reading of it, made without the
// registers, the replica or their code. Everything else is measured against it.
type model struct {
	issuers map[certs.IssuerID]certs.IssuerAdded
	roll    *roll
	lists   map[listKey]certs.ListPublished
	stages  map[certs.IssuerID]certs.GenerationChanged // where each issuer stands, as said last
	changes int

	// By the issuer's number in the roll, once the whole journal was read.
	signers []signer
	above   []*recorded // its own certificate; nil for a root, which has none
}

// signer is an issuer whose signatures are verified.
type signer struct {
	certificate *x509.Certificate
	err         error
}

type listKey struct {
	issuer certs.IssuerID
	name   certs.ListName
}

func newModel() *model {
	return &model{
		issuers: map[certs.IssuerID]certs.IssuerAdded{},
		roll:    newRoll(),
		lists:   map[listKey]certs.ListPublished{},
		stages:  map[certs.IssuerID]certs.GenerationChanged{},
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
	m.issuers[own.keyID()] = added
	return nil
}

func (m *model) stage(body []byte) error {
	changed, err := certs.ParseGenerationChanged(body)
	m.stages[changed.Issuer] = changed
	return err
}

// conclude is called when the whole journal was read.
func (m *model) conclude() {
	for _, id := range m.roll.issuers {
		m.signers = append(m.signers, m.signer(id))
		m.above = append(m.above, m.certificateOf(id))
	}
}

var errNoIssuer = errors.New("its issuer is not in the journal")

func (m *model) signer(id certs.IssuerID) signer {
	added, ok := m.issuers[id]
	if !ok {
		return signer{err: errNoIssuer}
	}
	c, err := x509.ParseCertificate(added.DER)
	return signer{c, err}
}

// statusOf is what is to be answered about a certificate: its own status, or that of the issuer's certificate when that
// was revoked and it was not.
func (m *model) statusOf(c *recorded) certs.Status {
	if above := m.above[c.key.issuer]; above != nil && certs.State(c.state) != certs.StateRevoked && certs.State(above.state) == certs.StateRevoked {
		return above.status()
	}
	return c.status()
}

// certificateOf is an issuer's own certificate.
func (m *model) certificateOf(issuer certs.IssuerID) *recorded {
	own, err := readOwnCertificate(m.issuers[issuer].DER)
	if err != nil {
		return nil // addIssuer has read it
	}
	for id, added := range m.issuers {
		root, err := readOwnCertificate(added.DER)
		if err != nil || id == issuer || !bytes.Equal(root.subject, own.issuer) {
			continue
		}
		if c := m.roll.at(id, own.serial); c != nil {
			return c
		}
	}
	return nil
}

func (m *model) record(body []byte) error {
	recorded, err := certs.ParseRecorded(body)
	if err != nil {
		return err
	}
	for i := range recorded.Certificates {
		c := &recorded.Certificates[i]
		switch added, err := m.roll.add(recorded.Issuer, c); {
		case err != nil:
			return err
		case !added:
			return fmt.Errorf("serial %s is recorded twice", c.Serial.Hex())
		}
	}
	return nil
}

func (m *model) changeStatus(body []byte, at time.Time) error {
	change, err := certs.ParseStatusChange(body)
	if err != nil {
		return err
	}
	for _, serial := range change.Serials {
		c := m.roll.at(change.Issuer, serial)
		if c == nil {
			return fmt.Errorf("serial %s changes status but was never recorded", serial.Hex())
		}
		if certs.State(c.state) == certs.StateRevoked && change.Status.State != certs.StateRevoked {
			return fmt.Errorf("serial %s was revoked and is %s again", serial.Hex(), change.Status.State)
		}
		c.setStatus(change.Status)
		c.changed = at.UnixMicro()
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

// listed returns the certificates each complete list is about, by their places in the roll.
func (m *model) listed() map[listKey][]uint32 {
	all := map[listKey][]uint32{}
	for n, c := range m.roll.all() {
		for _, name := range []certs.ListName{certs.ShardList(c.shard), {Kind: certs.ListFull}, {Kind: certs.ListArchive}} {
			key := listKey{m.roll.issuerOf(c), name}
			if _, made := m.lists[key]; made {
				all[key] = append(all[key], n)
			}
		}
	}
	return all
}

// sameStatus compares statuses to the second, which is what certificates and answers carry.
func sameStatus(a, b certs.Status) bool {
	same := func(x, y time.Time) bool { return x.Unix() == y.Unix() }
	return a.State == b.State && a.Reason == b.Reason && same(a.At, b.At) && same(a.Invalidity, b.Invalidity)
}
