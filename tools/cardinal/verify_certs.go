package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"fmt"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// registered is one certificate as the register's rows have it, read by verify's own query.
type registered struct {
	ref                 certs.Ref
	recorded            *recorded // nil if the journal has none
	state               int64
	profile, holder     string
	shard               int64
	notBefore, notAfter int64
	digest, der         []byte
}

const selectRegistered = `SELECT s.issuer, s.serial, s.state, s.profile, s.holder, s.shard, s.not_before, s.not_after,
	c.digest, c.der
	FROM certs_serial s LEFT JOIN certs_certificate c ON c.issuer = s.issuer AND c.serial = s.serial`

// checkCertificates compares every row with the journal and every certificate with its row.
func (v *verifier) checkCertificates(tx *ledger.Tx) error {
	if err := v.checkIssuers(tx); err != nil {
		return err
	}
	if err := v.checkStandings(tx); err != nil {
		return err
	}
	rows, err := tx.Query(selectRegistered)
	if err != nil {
		return fmt.Errorf("reading the register of certificates: %w", err)
	}
	defer rows.Close()
	bar := v.a.progress("certificates", int64(v.model.roll.len()))
	err = spread(&v.findings, bar, func(give func(registered)) error {
		for rows.Next() {
			r, err := scanRegistered(rows)
			if err != nil {
				return err
			}
			if r.recorded = v.model.roll.at(r.ref.Issuer, r.ref.Serial); r.recorded != nil {
				r.recorded.seen = true
			}
			give(r)
		}
		return rows.Err()
	}, v.checkRegistered)
	if err != nil {
		return fmt.Errorf("reading the register of certificates: %w", err)
	}
	bar.finish()
	for _, c := range v.model.roll.all() {
		if !c.seen {
			v.found("certificate "+c.hex(), "the journal records it, the register does not")
		}
	}
	v.report.Certificates = v.model.roll.len()
	return nil
}

func scanRegistered(rows *sql.Rows) (r registered, err error) {
	var issuer, serial []byte
	err = rows.Scan(&issuer, &serial, &r.state, &r.profile, &r.holder, &r.shard, &r.notBefore, &r.notAfter,
		&r.digest, &r.der)
	copy(r.ref.Issuer[:], issuer) // one of another length is no issuer of the journal and is found as such
	r.ref.Serial = certs.Serial(serial)
	return r, err
}

// checkRegistered compares one row with the journal. A serial that is only reserved
// is no business of the journal yet.
func (v *verifier) checkRegistered(r registered, f *findings) {
	where := "certificate " + r.ref.Serial.Hex()
	want, all := r.recorded, v.model.roll
	if want == nil {
		if r.state != 0 {
			f.found(where, "the register has it in state %d, the journal never recorded it", r.state)
		}
		return
	}
	if profile, holder := all.profileOf(want), all.holderOf(want); r.profile != profile || r.holder != holder || uint16(r.shard) != want.shard {
		f.found(where, "the register says profile %s, holder %s, shard %d; the journal %s, %s, %d", r.profile, r.holder, r.shard, profile, holder, want.shard)
	}
	if micro(r.notAfter).Unix() != want.notAfter {
		f.found(where, "the register says it ends %s, the journal %s", micro(r.notAfter), second(want.notAfter))
	}
	v.checkDER(where, r, f)
}

// checkDER reads the certificate itself. A spoiled serial has none: the journal's digest is zero.
func (v *verifier) checkDER(where string, r registered, f *findings) {
	want := r.recorded
	if want.digest == (journal.Hash{}) {
		return
	}
	if sum := sha256.Sum256(r.der); sum != want.digest {
		f.found(where, "its bytes have SHA-256 %x, the journal recorded %x", sum, want.digest)
		return
	}
	if !bytes.Equal(r.digest, want.digest[:]) {
		f.found(where, "the register keeps digest %x, the journal recorded %x", r.digest, want.digest)
	}
	own, err := readOwnCertificate(r.der)
	if err != nil {
		f.found(where, "reading it: %v", err)
		return
	}
	if own.serial != r.ref.Serial {
		f.found(where, "the certificate itself carries serial %s", own.serial.Hex())
	}
	if own.notAfter.Unix() != want.notAfter || own.notBefore.Unix() != micro(r.notBefore).Unix() {
		f.found(where, "the certificate itself is valid %s to %s", own.notBefore, own.notAfter)
	}
	if err := v.model.signers[want.key.issuer].check(r.der); err != nil {
		f.found(where, "%v", err)
	}
}

// check verifies a certificate under its issuer's key.
func (s signer) check(der []byte) error {
	if s.err != nil {
		return s.err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("parsing it: %w", err)
	}
	return s.certificate.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature)
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
