package tree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"cardinal/certs"
	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

// A certificate that is not good any more is hidden by who answers, though its
// entry has not changed. Who follows the directory has to be told all the same:
// so a change of status touches the entry that holds the certificate. It gets
// that change's entryCSN and stands in history, and what it holds stays as it
// is.
//
// maxTouched bounds how many certificates of one change are looked for, to bound
// the time it takes: some 60 ms. A change about serials of 16 octets has no more
// than 4,400. Past the bound history says that everything has changed, and
// followers read the content anew.
const maxTouched = 5_000

// certificateType is the attribute whose values have a status.
const certificateType = "userCertificate"

// applyCertificates notes issuers and touches entries whose certificates have
// another status now.
func (t *Tree) applyCertificates(b *replica.Batch, c journal.Change) error {
	if c.Version != 1 {
		return replica.UnknownVersion(c)
	}
	if c.Erased {
		return nil
	}
	return t.writer.apply(b, c, func(b *replica.Batch, c journal.Change) error {
		if c.Kind == journal.KindIssuerAdded {
			return t.writer.issuerAdded(c.Body)
		}
		return t.writer.statusChanged(b, c.Body)
	})
}

func (w *writer) issuerAdded(body []byte) error {
	x, err := certs.ParseIssuerAdded(body)
	if err != nil {
		return err
	}
	outline, err := certs.OutlineOf(x.DER)
	if err != nil {
		return fmt.Errorf("issuer %s: %w", x.Name, err)
	}
	id, err := certs.IssuerIDFromSPKI(outline.SPKI)
	if err != nil {
		return fmt.Errorf("issuer %s: %w", x.Name, err)
	}
	form, err := w.tree.schema.SubjectForm(x.DER)
	if err != nil {
		return fmt.Errorf("issuer %s: %w", x.Name, err)
	}
	return w.root.Bucket([]byte(bucketIssuers)).Put(id[:], form)
}

func (w *writer) statusChanged(b *replica.Batch, body []byte) error {
	x, err := certs.ParseStatusChange(body)
	if err != nil {
		return err
	}
	issuer := w.root.Bucket([]byte(bucketIssuers)).Get(x.Issuer[:])
	typ := w.tree.schema.Attribute(certificateType)
	if issuer == nil || typ == nil {
		return nil // nothing here can be of an issuer nobody knows
	}
	if len(x.Serials) > maxTouched || !w.tree.indexed[typ] {
		return w.note(noted{kind: ChangeLoaded})
	}
	attr, err := w.catalog.codeOf(w.root, directory.Description{Type: typ}.String())
	if err != nil {
		return err
	}
	var ids []uint32
	var key []byte
	c := w.index.Cursor()
	for _, serial := range x.Serials {
		key = appendIndexValue(key[:0], attr, directory.CertificateForm(issuer, []byte(serial)))
		ids = holders(ids, c, key)
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		if err := w.touch(id, b.Since()); err != nil {
			return err
		}
	}
	return nil
}

// holders appends the entries in the set of an index key.
func holders(ids []uint32, c *bbolt.Cursor, key []byte) []uint32 {
	for k, v := c.Seek(key); bytes.HasPrefix(k, key) && len(k) == len(key)+2; k, v = c.Next() {
		ids = chunk(v).appendTo(ids, binary.BigEndian.Uint16(k[len(key):]))
	}
	return ids
}

// touch gives an entry the change sequence number of the change being applied,
// unless it has been changed in the same transaction already: whoever follows is
// told of that, and sees both together.
func (w *writer) touch(id uint32, since journal.Position) error {
	old := w.recordOf(id)
	h, err := parseHead(old)
	if err != nil {
		return fmt.Errorf("touching entry %d: %w", id, err)
	}
	if h.position > uint64(since) {
		return nil
	}
	e := modified{id, w.nameOf(id, h), old, h}
	if done, err := w.modifyPatched(&patch{ready: true}, e); done || err != nil {
		return err
	}
	return w.modifyBy(&patch{}, id, e.name, nil) // values stand apart
}
