// Package register holds every certificate ever promised: the issuers, every
// serial from the moment it was reserved, the certificates, their statuses, and
// the lists that were published. It owns these tables in the ledger; nobody
// else writes them.
//
// What it promises:
//
//   - A serial is written down, with what is to be signed under it, before a CA
//     key is used (Reserve). From then on it ends in exactly one of two ways:
//     recorded, with the certificate, or spoiled: revoked and never delivered.
//   - A status moves only as the table of transitions allows: a hold can be
//     released or made final, which keeps its date; revoked never goes back.
//   - Every change is appended to the journal in the transaction that makes it.
//     Revocation times are the transaction's, to the second.
//
// All functions work inside a transaction and are durable with it. Most cost a
// few statements a certificate; a transaction should hold at most some hundred.
// Many is for a thousand or two at a time.
package register

import (
	"errors"
	"fmt"
	"time"

	"cardinal/certs"
	"cardinal/internal/ledger"
)

// Errors a caller can tell apart. ErrUnknownSerial is certs.ErrUnknownSerial.
var (
	ErrUnknownSerial  = certs.ErrUnknownSerial
	ErrUnknownIssuer  = errors.New("no such issuer")
	ErrSerialTaken    = errors.New("the serial is taken")
	ErrNotReserved    = errors.New("the serial is not waiting for its certificate")
	ErrOtherContent   = errors.New("the certificate is not the one that was promised")
	ErrListOvertaken  = errors.New("a newer list was published meanwhile")
	ErrUnknownShard   = errors.New("the issuer has no such shard")
	errIssuerRepeated = errors.New("an issuer with this key or name exists")
)

// Room is what ledger.Options needs to hold this room's tables.
func Room() ledger.Room {
	return ledger.Room{Name: "certs", Migrations: []string{tables, generationTables, listTables, statusTables}}
}

// The state of a serial in certs_serial.
const (
	serialReserved = 0
	serialRecorded = 1
	serialSpoiled  = 2
)

// Times are microseconds as everywhere in the ledger. certs_intent holds what
// is to be signed until the certificate is recorded, and for ever when the
// serial is spoiled. certs_shard.changes counts what a list does not show yet.
const tables = `
CREATE TABLE certs_issuer (
  id BYTEA PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  der BYTEA NOT NULL,
  shards BIGINT NOT NULL,
  added BIGINT NOT NULL
);
CREATE TABLE certs_shard (
  issuer BYTEA NOT NULL,
  shard BIGINT NOT NULL,
  changes BIGINT NOT NULL,
  changed BIGINT,
  PRIMARY KEY (issuer, shard)
);
CREATE TABLE certs_serial (
  issuer BYTEA NOT NULL,
  serial BYTEA NOT NULL,
  state BIGINT NOT NULL,
  profile TEXT NOT NULL,
  holder TEXT NOT NULL,
  card TEXT NOT NULL,
  request TEXT NOT NULL,
  shard BIGINT NOT NULL,
  key_digest BYTEA NOT NULL,
  policy BYTEA NOT NULL,
  tbs_hash BYTEA NOT NULL,
  not_before BIGINT NOT NULL,
  not_after BIGINT NOT NULL,
  reserved BIGINT NOT NULL,
  settled BIGINT,
  why TEXT NOT NULL,
  status BIGINT NOT NULL,
  reason BIGINT NOT NULL,
  revoked BIGINT,
  invalidity BIGINT,
  changed BIGINT,
  PRIMARY KEY (issuer, serial)
);
CREATE INDEX certs_serial_number ON certs_serial (serial);
CREATE INDEX certs_serial_holder ON certs_serial (holder);
CREATE INDEX certs_serial_card ON certs_serial (card);
CREATE INDEX certs_serial_key ON certs_serial (key_digest);
CREATE INDEX certs_serial_listed ON certs_serial (issuer, shard, serial) WHERE status <> 0;
CREATE TABLE certs_intent (
  issuer BYTEA NOT NULL,
  serial BYTEA NOT NULL,
  tbs BYTEA NOT NULL,
  open BIGINT NOT NULL,
  PRIMARY KEY (issuer, serial)
);
CREATE TABLE certs_certificate (
  issuer BYTEA NOT NULL,
  serial BYTEA NOT NULL,
  digest BYTEA NOT NULL,
  der BYTEA NOT NULL,
  PRIMARY KEY (issuer, serial)
);
CREATE TABLE certs_list (
  issuer BYTEA NOT NULL,
  shard BIGINT NOT NULL,
  number BIGINT NOT NULL,
  this_update BIGINT NOT NULL,
  next_update BIGINT NOT NULL,
  content BYTEA NOT NULL,
  size BIGINT NOT NULL,
  changes BIGINT NOT NULL,
  PRIMARY KEY (issuer, shard)
);
`

// listTables makes room for lists of every kind (certs.ListName), and
// remembers the contents of those that were replaced until they are dropped.
// Complete lists are made out of the index of what is shown alone, without the
// rows: a million rows cost a million random reads. The other is for deltas; its
// entries arrive in the order of their times.
const listTables = `
CREATE TABLE certs_published (
  issuer BYTEA NOT NULL,
  kind BIGINT NOT NULL,
  shard BIGINT NOT NULL,
  delta BIGINT NOT NULL,
  number BIGINT NOT NULL,
  base BIGINT NOT NULL,
  based BIGINT,
  this_update BIGINT NOT NULL,
  next_update BIGINT NOT NULL,
  content BYTEA NOT NULL,
  size BIGINT NOT NULL,
  packed BYTEA NOT NULL,
  packed_size BIGINT NOT NULL,
  entries BIGINT NOT NULL,
  changes BIGINT NOT NULL,
  PRIMARY KEY (issuer, kind, shard, delta)
);
INSERT INTO certs_published (issuer, kind, shard, delta, number, base, this_update, next_update,
  content, size, packed, packed_size, entries, changes)
  SELECT issuer, 0, shard, 0, number, 0, this_update, next_update, content, size, content, 0, 0, changes FROM certs_list;
DROP TABLE certs_list;
CREATE TABLE certs_list_past (
  content BYTEA PRIMARY KEY,
  at BIGINT NOT NULL
);
CREATE INDEX certs_list_past_at ON certs_list_past (at);
DROP INDEX certs_serial_listed;
CREATE INDEX certs_serial_shown ON certs_serial
  (issuer, shard, serial, status, reason, revoked, invalidity, not_after, changed) WHERE status <> 0;
CREATE INDEX certs_serial_changed ON certs_serial (issuer, changed) WHERE changed IS NOT NULL;
`

// stamp is a nullable time as a row holds it.
type stamp struct{ micro *int64 }

// Scan takes NULL or microseconds (database/sql.Scanner).
func (s *stamp) Scan(v any) error {
	s.micro = nil
	switch v := v.(type) {
	case nil:
		return nil
	case int64:
		s.micro = &v
		return nil
	}
	return fmt.Errorf("a time of type %T", v)
}

func (s stamp) time() time.Time {
	if s.micro == nil {
		return time.Time{}
	}
	return time.UnixMicro(*s.micro).UTC()
}
