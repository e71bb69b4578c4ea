package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// registered is one certificate as the register's rows have it, read by verify's own query.
type registered struct {
	state               int64
	profile, holder     string
	shard               int64
	notBefore, notAfter int64
	status, reason      int64
	revoked, invalidity sql.NullInt64
	digest, der         []byte
}

const selectRegistered = `SELECT s.issuer, s.serial, s.state, s.profile, s.holder, s.shard, s.not_before, s.not_after,
	s.status, s.reason, s.revoked, s.invalidity, c.digest, c.der
	FROM certs_serial s LEFT JOIN certs_certificate c ON c.issuer = s.issuer AND c.serial = s.serial`

// checkCertificates compares every row with the journal and every certificate with its row.
func (v *verifier) checkCertificates(tx *ledger.Tx) error {
	if err := v.checkIssuers(tx); err != nil {
		return err
	}
	rows, err := tx.Query(selectRegistered)
	if err != nil {
		return fmt.Errorf("reading the register of certificates: %w", err)
	}
	defer rows.Close()
	seen := map[certs.Ref]bool{}
	for rows.Next() {
		ref, r, err := scanRegistered(rows)
		if err != nil {
			return fmt.Errorf("reading the register of certificates: %w", err)
		}
		seen[ref] = true
		v.checkRegistered(ref, r)
	}
	for _, ref := range v.model.refs() {
		if !seen[ref] {
			v.found("certificate "+ref.Serial.Hex(), "the journal records it, the register does not")
		}
	}
	v.report.Certificates = len(v.model.certificates)
	return rows.Err()
}

func scanRegistered(rows *sql.Rows) (ref certs.Ref, r registered, err error) {
	var issuer, serial []byte
	err = rows.Scan(&issuer, &serial, &r.state, &r.profile, &r.holder, &r.shard, &r.notBefore, &r.notAfter,
		&r.status, &r.reason, &r.revoked, &r.invalidity, &r.digest, &r.der)
	copy(ref.Issuer[:], issuer) // one of another length is no issuer of the journal and is found as such
	ref.Serial = certs.Serial(serial)
	return ref, r, err
}

// checkRegistered compares one row with the journal. A serial that is only reserved
// is no business of the journal yet.
func (v *verifier) checkRegistered(ref certs.Ref, r registered) {
	where := "certificate " + ref.Serial.Hex()
	want, recorded := v.model.certificates[ref]
	if !recorded {
		if r.state != 0 {
			v.found(where, "the register has it in state %d, the journal never recorded it", r.state)
		}
		return
	}
	if r.profile != want.Profile || r.holder != want.Holder || uint16(r.shard) != want.Shard {
		v.found(where, "the register says profile %s, holder %s, shard %d; the journal %s, %s, %d", r.profile, r.holder, r.shard, want.Profile, want.Holder, want.Shard)
	}
	if micro(r.notAfter).Unix() != want.NotAfter.Unix() {
		v.found(where, "the register says it ends %s, the journal %s", micro(r.notAfter), want.NotAfter)
	}
	if is, should := r.statusOf(), v.model.statuses[ref]; !sameStatus(is, should) {
		v.found("status of "+ref.Serial.Hex(), "the register says %s, the journal %s", statusText(is), statusText(should))
	}
	v.checkDER(where, ref, r, want)
}

// checkDER reads the certificate itself. A spoiled serial has none: the journal's digest is zero.
func (v *verifier) checkDER(where string, ref certs.Ref, r registered, want certs.RecordedCertificate) {
	if want.Digest == (journal.Hash{}) {
		return
	}
	if sum := sha256.Sum256(r.der); sum != want.Digest {
		v.found(where, "its bytes have SHA-256 %x, the journal recorded %x", sum, want.Digest)
		return
	}
	if !bytes.Equal(r.digest, want.Digest[:]) {
		v.found(where, "the register keeps digest %x, the journal recorded %x", r.digest, want.Digest)
	}
	own, err := readOwnCertificate(r.der)
	if err != nil {
		v.found(where, "%v", err)
		return
	}
	if string(own.serial.Bytes()) != string(ref.Serial) {
		v.found(where, "the certificate itself carries serial %x", own.serial)
	}
	if own.notAfter.Unix() != want.NotAfter.Unix() || own.notBefore.Unix() != micro(r.notBefore).Unix() {
		v.found(where, "the certificate itself is valid %s to %s", own.notBefore, own.notAfter)
	}
	if err := v.checkSignature(ref.Issuer, r.der); err != nil {
		v.found(where, "%v", err)
	}
}

// checkSignature verifies a certificate under its issuer's key.
func (v *verifier) checkSignature(issuer certs.IssuerID, der []byte) error {
	by, err := v.issuer(issuer)
	if err != nil {
		return err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("parsing it: %w", err)
	}
	return by.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature)
}

var errNoIssuer = errors.New("its issuer is not in the journal")

func (v *verifier) issuer(id certs.IssuerID) (*x509.Certificate, error) {
	added, ok := v.model.issuers[id]
	if !ok {
		return nil, errNoIssuer
	}
	return x509.ParseCertificate(added.DER)
}

// checkIssuers compares the register's issuers with the journal's.
func (v *verifier) checkIssuers(tx *ledger.Tx) error {
	rows, err := tx.Query(`SELECT i.id, i.name, i.der, g.how, COALESCE(g.starts, 0), COALESCE(g.stopped, 0)
		FROM certs_issuer i JOIN certs_generation g ON g.issuer = i.id`)
	if err != nil {
		return fmt.Errorf("reading the issuers: %w", err)
	}
	defer rows.Close()
	count := 0
	for rows.Next() {
		var id, der []byte
		var name, how string
		var starts, stopped int64
		if err := rows.Scan(&id, &name, &der, &how, &starts, &stopped); err != nil {
			return fmt.Errorf("reading the issuers: %w", err)
		}
		count++
		key, err := certs.IssuerIDFromBytes(id)
		if want, ok := v.model.issuers[key]; err != nil || !ok || want.Name != name || !bytes.Equal(want.DER, der) {
			v.found("issuer "+name, "the register and the journal disagree about it")
		}
		if said, ok := v.model.stages[key]; ok && (said.How != how || !sameMoment(starts, said.Starts) || !sameMoment(stopped, said.Stopped)) {
			v.found("issuer "+name, "the register and the journal disagree about its generation")
		}
	}
	if count != len(v.model.issuers) {
		v.found("issuers", "the register has %d, the journal %d", count, len(v.model.issuers))
	}
	return rows.Err()
}

// checkLists verifies the newest list of every name: bytes, signature, number, and that it shows
// what the journal had revoked when it was made, and nothing else.
func (v *verifier) checkLists(tx *ledger.Tx) error {
	about := v.model.listed()
	for key, list := range v.model.lists {
		name := fmt.Sprintf("list %s/%s", v.model.issuers[key.issuer].Name, key.name)
		der, err := tx.Content(list.Content)
		switch {
		case err != nil:
			v.found(name, "%v", err)
		case sha256.Sum256(der) != list.Content:
			v.found(name, "its bytes have been changed: SHA-256 is not %x", list.Content)
		default:
			v.checkList(name, key, list, der)
			v.checkShown(name, key, about, der)
		}
	}
	v.report.Lists = len(v.model.lists)
	return nil
}

func (v *verifier) checkList(name string, key listKey, list certs.ListPublished, der []byte) {
	own, err := readOwnList(der)
	if err != nil {
		v.found(name, "%v", err)
		return
	}
	if own.number != list.Number || own.thisUpdate.Unix() != list.ThisUpdate.Unix() || own.nextUpdate.Unix() != list.NextUpdate.Unix() {
		v.found(name, "the list says number %d of %s, the journal %d of %s", own.number, own.thisUpdate, list.Number, list.ThisUpdate)
	}
	by, err := v.issuer(key.issuer)
	if err != nil {
		v.found(name, "%v", err)
		return
	}
	parsed, err := x509.ParseRevocationList(der)
	if err == nil {
		err = parsed.CheckSignatureFrom(by)
	}
	if err != nil {
		v.found(name, "%v", err)
	}
}

// checkShown compares a list with the certificates it is about: a delta, which may leave out any, entry by entry.
func (v *verifier) checkShown(name string, key listKey, about map[listKey][]certs.Ref, der []byte) {
	if !key.name.Delta {
		v.checkListed(name, about[key], der)
		return
	}
	own, err := readOwnList(der)
	if err != nil {
		return // found by checkList
	}
	key.name.Delta = false
	known := map[string]certs.Ref{}
	for _, ref := range about[key] {
		known[string(ref.Serial)] = ref
	}
	for serial, entry := range own.entries {
		ref, ok := known[serial]
		status := v.model.statuses[ref]
		switch later := v.model.changed[ref].After(own.thisUpdate.Add(-time.Second)); {
		case !ok:
			v.found(name, "shows %x, which the journal never recorded there", serial)
		case !later && (entry.reason == certs.ReasonRemoveFromCRL) != (status.State == certs.StateGood):
			v.found(name, "shows %x with %s, the journal has %s", serial, entry.reason, statusText(status))
		}
	}
}

// checkListed compares a list with the statuses of its shard. What changed after the list was made
// is in the next one, and expired certificates leave the lists (RFC 5280 §3.3).
func (v *verifier) checkListed(name string, shard []certs.Ref, der []byte) {
	own, err := readOwnList(der)
	if err != nil {
		return // found by checkList
	}
	for _, ref := range shard {
		status := v.model.statuses[ref]
		entry, listed := own.entries[string(ref.Serial)]
		delete(own.entries, string(ref.Serial))
		old := v.model.certificates[ref].NotAfter.Before(own.thisUpdate) || v.model.changed[ref].After(own.thisUpdate.Add(-time.Second))
		switch {
		case listed && status.State == certs.StateRevoked && (entry.reason != status.Reason || entry.at.Unix() != status.At.Unix()) && !old:
			v.found(name, "shows %s with %s since %s, the journal has %s", ref.Serial.Hex(), entry.reason, entry.at, statusText(status))
		case !listed && status.State != certs.StateGood && !old:
			v.found(name, "does not show %s, which is %s", ref.Serial.Hex(), statusText(status))
		}
	}
	for serial := range own.entries {
		v.found(name, "shows %x, which the journal never recorded in this shard", serial)
	}
}

func (r registered) statusOf() certs.Status {
	s := certs.Status{State: certs.State(r.status), Reason: certs.Reason(r.reason)}
	if r.revoked.Valid {
		s.At = micro(r.revoked.Int64)
	}
	if r.invalidity.Valid {
		s.Invalidity = micro(r.invalidity.Int64)
	}
	return s
}

// sameMoment compares a time of a row, 0 for none, with a change's.
func sameMoment(n int64, t time.Time) bool {
	return n == 0 && t.IsZero() || n != 0 && micro(n).Equal(t)
}

func micro(n int64) time.Time { return time.UnixMicro(n).UTC() }

func statusText(s certs.Status) string {
	if s.State == certs.StateGood {
		return "good"
	}
	return fmt.Sprintf("%s (%s) since %s", s.State, s.Reason, s.At.Format(time.RFC3339))
}
