package tree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

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
// maxTouched bounds how many entries one change of status touches. A mass
// revocation must reach OCSP without delay; past the bound history says that
// everything has changed, and followers read the content anew.
const maxTouched = 1_000

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
	w := t.writer
	if err := w.begin(b.Bucket()); err != nil {
		return fmt.Errorf("opening the directory's buckets: %w", err)
	}
	w.records.position, w.records.micro = uint64(c.Position), uint64(c.Time.UnixMicro())
	if c.Kind == journal.KindIssuerAdded {
		return w.issuerAdded(c.Body)
	}
	return w.statusChanged(c.Body)
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

func (w *writer) statusChanged(body []byte) error {
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
	for _, serial := range x.Serials {
		form := directory.CertificateForm(issuer, []byte(serial))
		for _, id := range w.holders(appendIndexValue(nil, attr, form)) {
			if err := w.touch(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// holders are the entries in the set of an index key.
func (w *writer) holders(key []byte) (ids []uint32) {
	c := w.index.Cursor()
	for k, v := c.Seek(key); bytes.HasPrefix(k, key) && len(k) == len(key)+2; k, v = c.Next() {
		ids = chunk(v).appendTo(ids, binary.BigEndian.Uint16(k[len(key):]))
	}
	return slices.Clone(ids)
}

// touch gives an entry the change sequence number of the change being applied.
func (w *writer) touch(id uint32) error {
	h, err := parseHead(w.entries.Get(appendID(nil, id)))
	if err != nil {
		return fmt.Errorf("touching entry %d: %w", id, err)
	}
	return w.modify(directory.UUID(h.uuid), "", nil)
}
