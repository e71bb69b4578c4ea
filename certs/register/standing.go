package register

import (
	"database/sql"
	"errors"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// statusTables keep what is not good, or was not: the statuses that single
// certificates were given a row each, those that a block of mass work gave to
// many a run of up to runMost serials of one issuer and shard. A certificate's
// status stands in one place; where there is none it is good and always was.
// Both tables lie in the order of lists, which are made out of them alone. The
// runs of a shard do not overlap, so that the one a serial may be in is found by
// where it begins. An issuer has a number, as its key is two thirds of a row.
const statusTables = `
ALTER TABLE certs_issuer ADD COLUMN number BIGINT NOT NULL DEFAULT 0;
UPDATE certs_issuer SET number = (SELECT COUNT(*) FROM certs_issuer o
  WHERE o.added < certs_issuer.added OR o.added = certs_issuer.added AND o.id <= certs_issuer.id);
CREATE UNIQUE INDEX certs_issuer_number ON certs_issuer (number);
CREATE TABLE certs_status (
  issuer BIGINT NOT NULL,
  shard BIGINT NOT NULL,
  serial BYTEA NOT NULL,
  status BIGINT NOT NULL,
  reason BIGINT NOT NULL,
  revoked BIGINT,
  invalidity BIGINT,
  not_after BIGINT NOT NULL,
  changed BIGINT NOT NULL,
  PRIMARY KEY CLUSTERED (issuer, shard, serial)
);
INSERT INTO certs_status SELECT i.number, s.shard, s.serial, s.status, s.reason, s.revoked, s.invalidity, s.not_after,
  COALESCE(s.changed, s.settled, s.reserved) FROM certs_serial s JOIN certs_issuer i ON i.id = s.issuer
  WHERE s.status <> 0 OR s.changed IS NOT NULL ORDER BY i.number, s.shard, s.serial;
CREATE INDEX certs_status_changed ON certs_status (issuer, changed);
CREATE TABLE certs_status_run (
  issuer BIGINT NOT NULL,
  shard BIGINT NOT NULL,
  lowest BYTEA NOT NULL,
  highest BYTEA NOT NULL,
  serials BIGINT NOT NULL,
  status BIGINT NOT NULL,
  reason BIGINT NOT NULL,
  revoked BIGINT,
  invalidity BIGINT,
  changed BIGINT NOT NULL,
  first_end BIGINT NOT NULL,
  last_end BIGINT NOT NULL,
  entries BYTEA NOT NULL,
  PRIMARY KEY (issuer, shard, lowest)
);
CREATE INDEX certs_status_run_changed ON certs_status_run (issuer, changed);
DROP INDEX certs_serial_shown;
DROP INDEX certs_serial_changed;
ALTER TABLE certs_serial DROP COLUMN status;
ALTER TABLE certs_serial DROP COLUMN reason;
ALTER TABLE certs_serial DROP COLUMN revoked;
ALTER TABLE certs_serial DROP COLUMN invalidity;
ALTER TABLE certs_serial DROP COLUMN changed;
`

// standing is a status and when it was given.
type standing struct {
	status  certs.Status
	changed time.Time
}

// place is where a status stands.
type place int

const (
	nowhere place = iota // it is good and always was
	inRow
	inRun
)

// row is what a change of status needs of a certificate.
type row struct {
	ref    certs.Ref
	number int64 // the issuer's
	shard  uint16
	end    time.Time // the certificate's
	standing
	place place
}

// standingOf joins a serial s with where its status may stand, standingColumns
// are what scannedStanding takes.
const (
	rowColumns      = `t.status * 256 + t.reason, t.revoked, t.invalidity, t.changed`
	standingColumns = rowColumns + `, r.status * 256 + r.reason, r.revoked, r.invalidity, r.changed, r.entries, r.last_end`
	rowOfSerial     = ` LEFT JOIN certs_issuer i ON i.id = s.issuer
		LEFT JOIN certs_status t ON t.issuer = i.number AND t.shard = s.shard AND t.serial = s.serial`
	standingOf = rowOfSerial + `
		LEFT JOIN certs_status_run r ON r.issuer = i.number AND r.shard = s.shard AND r.lowest = (SELECT x.lowest
			FROM certs_status_run x WHERE x.issuer = i.number AND x.shard = s.shard AND x.lowest <= s.serial ORDER BY x.lowest DESC LIMIT 1)`
)

// scanned is a status as rowColumns have it.
type scanned struct {
	code                         sql.NullInt64
	revoked, invalidity, changed stamp
}

func (s *scanned) into() []any { return []any{&s.code, &s.revoked, &s.invalidity, &s.changed} }

func (s *scanned) standing() standing {
	return standing{certs.Status{State: certs.State(s.code.Int64 >> 8), Reason: certs.Reason(s.code.Int64 & 0xff),
		At: s.revoked.time(), Invalidity: s.invalidity.time()}, s.changed.time()}
}

// scannedStanding is what standingColumns scan into.
type scannedStanding struct {
	row, run scanned
	entries  []byte
	lastEnd  stamp
}

func (s *scannedStanding) into() []any {
	return append(append(s.row.into(), s.run.into()...), &s.entries, &s.lastEnd)
}

// of is the status of the serial that was asked for.
func (s *scannedStanding) of(serial certs.Serial) (standing, place, error) {
	if s.row.code.Valid {
		return s.row.standing(), inRow, nil
	}
	if s.run.code.Valid {
		entries, err := parseEntries(s.entries, s.lastEnd.time())
		if err != nil {
			return standing{}, nowhere, err
		}
		if _, in := search(entries, serial); in {
			return s.run.standing(), inRun, nil
		}
	}
	return standing{}, nowhere, nil
}

func rowOf(tx *ledger.Tx, ref certs.Ref) (*row, error) {
	r := &row{ref: ref}
	var s scannedStanding
	var end stamp
	err := tx.QueryRow(`SELECT i.number, s.shard, s.not_after, `+standingColumns+` FROM certs_serial s`+standingOf+`
		WHERE s.issuer = $1 AND s.serial = $2 AND s.state <> $3`, journal.Hash(ref.Issuer), []byte(ref.Serial), serialReserved).
		Scan(append([]any{&r.number, &r.shard, &end}, s.into()...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrUnknownSerial
	}
	r.end = end.time()
	if err == nil {
		r.standing, r.place, err = s.of(ref.Serial)
	}
	return r, err
}

// numberOf is an issuer's number; ErrUnknownIssuer.
func numberOf(tx *ledger.Tx, id certs.IssuerID) (n int64, err error) {
	err = tx.QueryRow(`SELECT number FROM certs_issuer WHERE id = $1`, journal.Hash(id)).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrUnknownIssuer
	}
	return n, err
}
