package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
	_ "modernc.org/sqlite"
)

// lived makes an installation that has lived through the demo, and ends it.
func lived(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "lived")
	if out, err := demoOnce(t, honestKey, dir); err != nil {
		t.Fatalf("the demo that makes the installation: %v\n%s", err, out)
	}
	return dir
}

// verifyFolder runs verify and returns its report.
func verifyFolder(t *testing.T, dir string) (verifyReport, error) {
	t.Helper()
	var out, progress bytes.Buffer
	err := run(context.Background(), []string{"verify", "--dir", dir, "--json"}, strings.NewReader(""), &out, &progress)
	var report verifyReport
	if bad := json.Unmarshal(out.Bytes(), &report); bad != nil {
		t.Fatalf("verify ended with %v and printed %q\n%s", err, out.String(), progress.String())
	}
	return report, err
}

// A flip changes one byte somewhere in a folder; where is what a finding must name.
type flip struct {
	name, where string
	do          func(t *testing.T, f folder)
}

// inLedger changes one byte of a column in the row that a query finds.
func inLedger(table, column, which string) func(*testing.T, folder) {
	return func(t *testing.T, f folder) {
		db, err := sql.Open("sqlite", filepath.Join(string(f), "ledger.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var id int64
		var value []byte
		if err := db.QueryRow(`SELECT rowid, `+column+` FROM `+table+` WHERE `+which+` LIMIT 1`).Scan(&id, &value); err != nil {
			t.Fatalf("finding the row to change: %v", err)
		}
		value = bytes.Clone(value)
		value[len(value)/2] ^= 1
		if _, err := db.Exec(`UPDATE `+table+` SET `+column+` = ? WHERE rowid = ?`, value, id); err != nil {
			t.Fatal(err)
		}
	}
}

// inNumber changes the lowest bit of a number.
func inNumber(table, column, which string) func(*testing.T, folder) {
	return func(t *testing.T, f folder) {
		db, err := sql.Open("sqlite", filepath.Join(string(f), "ledger.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		done, err := db.Exec(`UPDATE ` + table + ` SET ` + column + ` = CASE WHEN ` + column + ` % 2 = 0 THEN ` + column + ` + 1 ELSE ` + column + ` - 1 END
			WHERE rowid = (SELECT rowid FROM ` + table + ` WHERE ` + which + ` LIMIT 1)`)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := done.RowsAffected(); err != nil || n != 1 {
			t.Fatalf("%d rows changed, %v", n, err)
		}
	}
}

// inSQL runs a statement that changes at least one row.
func inSQL(statement string) func(*testing.T, folder) {
	return func(t *testing.T, f folder) {
		db, err := sql.Open("sqlite", filepath.Join(string(f), "ledger.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		done, err := db.Exec(statement)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			t.Fatalf("%d rows changed, %v", n, err)
		}
	}
}

// inReplica changes one byte of a value in an applier's bucket.
func inReplica(applier string) func(*testing.T, folder) {
	return func(t *testing.T, f folder) {
		inBuckets(t, f, func(tx *bbolt.Tx) error {
			if err := bend(tx.Bucket([]byte(applier))); !errors.Is(err, errBent) {
				return fmt.Errorf("nothing to change in %s: %w", applier, err)
			}
			return nil
		})
	}
}

func inBuckets(t *testing.T, f folder, do func(*bbolt.Tx) error) {
	db, err := bbolt.Open(f.replica(), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(do); err != nil {
		t.Fatal(err)
	}
}

// errBent ends the search for a value to change.
var errBent = errors.New("changed")

// bend changes the last byte of the first value that is not local to the copy.
func bend(b *bbolt.Bucket) error {
	return b.ForEach(func(k, v []byte) error {
		switch {
		case k[0] == 0:
			return nil
		case v == nil:
			return bend(b.Bucket(k))
		case len(v) == 0:
			return nil
		}
		bent := bytes.Clone(v)
		bent[len(bent)-1] ^= 1
		if err := b.Put(k, bent); err != nil {
			return err
		}
		return errBent
	})
}

func flips() []flip {
	return []flip{
		{"a body in the journal", "journal", inLedger("ledger_journal", "body", "position = 30")},
		{"a link in the journal", "journal", inLedger("ledger_journal", "link", "position = 31")},
		{"a time in the journal", "journal", inNumber("ledger_journal", "at", "position = 32")},
		{"the head's link", "ledger", inLedger("ledger_head", "link", "id = 1")},
		{"a certificate", "certificate ", inLedger("certs_certificate", "der", "1 = 1")},
		{"a digest", "certificate ", inLedger("certs_certificate", "digest", "1 = 1")},
		{"a status", "status of ", inSQL(`UPDATE certs_status SET status = 1 WHERE status = 2`)},
		{"a reason", "status of ", inSQL(`UPDATE certs_status SET reason = reason + 1 WHERE status = 2`)},
		{"the list a status is on", "status of ", inSQL(`UPDATE certs_status SET shard = shard + 16 WHERE status = 2`)},
		{"a profile", "certificate ", inNumber("certs_serial", "shard", "profile = 'authentication'")},
		{"an issuer", "issuer ", inLedger("certs_issuer", "der", "name = 'signing'")},
		{"a card's pair", "card ", inLedger("issuance_pairs", "signature_serial", "1 = 1")},
		// A card that was handed over waits for it, or the reverse: its certificates are good in both.
		{"what the desk has of a card", "entry ", inSQL(`UPDATE issuance_cards SET state = CASE state WHEN 'active' THEN 'issued' ELSE 'active' END WHERE state IN ('active', 'issued')`)},
		{"an entry of record", "entr", inLedger("directory_entry", "data", "data IS NOT NULL")},
		{"a certificate that is gone", "certificate ", inSQL(`DELETE FROM certs_serial WHERE rowid = (SELECT max(rowid) FROM certs_serial)`)},
		{"a certificate under another number", "certificate 7777", inSQL(`UPDATE certs_serial SET serial = x'7777' WHERE rowid = 1`)},
		{"a revocation that is gone", "status of ", inSQL(`DELETE FROM certs_status WHERE status = 2`)},
		{"a holder and an end", "certificate ", inSQL(`UPDATE certs_serial SET holder = holder || 'x', not_after = not_after + 1000000 WHERE rowid = 1`)},
		{"an entry that is gone", "entr", inSQL(`DELETE FROM directory_entry WHERE rowid = (SELECT max(rowid) FROM directory_entry)`)},
		{"a large body", "content", inLedger("ledger_chunk", "data", "1 = 1")},
		{"a status in the replica", "replica certificates", inReplica("certificates")},
		{"an entry in the replica", "replica directory", inReplica("directory")},
	}
}

// TestVerifyNamesEachFlippedByte changes one byte in each kind of thing in turn.
func TestVerifyNamesEachFlippedByte(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	whole := lived(t)
	if report, err := verifyFolder(t, whole); err != nil || !report.OK || report.Certificates < 10 || report.Cards < 2 || report.Entries < 100 {
		t.Fatalf("the unchanged installation: %v, %+v", err, report)
	}
	for _, f := range flips() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "flipped")
			if err := copyFolder(folder(dir), folder(whole), "demo"); err != nil {
				t.Fatal(err)
			}
			f.do(t, folder(dir))
			var report verifyReport
			code, stdout, stderr := program(t, "verify", "--dir", dir, "--json")
			if bad := json.Unmarshal([]byte(stdout), &report); bad != nil || code != exitWrong || report.OK {
				t.Fatalf("verify ended with %d and %q\n%s", code, stdout, stderr)
			}
			for _, found := range report.Findings {
				if strings.HasPrefix(found.Where, f.where) {
					return
				}
			}
			t.Errorf("no finding names %q: %+v", f.where, report.Findings)
		})
	}
	t.Run("a replica of another version", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "other")
		if err := copyFolder(folder(dir), folder(whole), "demo"); err != nil {
			t.Fatal(err)
		}
		inBuckets(t, folder(dir), func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("\x00replica")).Put([]byte("layout/certificates"), []byte{0, 0, 0, 1})
		})
		inReplica("certificates")(t, folder(dir))
		code, stdout, stderr := program(t, "verify", "--dir", dir)
		if code != exitDone || !strings.Contains(stderr, "another version (1, now ") {
			t.Errorf("verify ended with %d and %q\n%s", code, stdout, stderr)
		}
	})
}
