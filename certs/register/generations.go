package register

import (
	"bytes"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// generationTables: what an authority is doing, beside what it is. Authorities
// made before there were generations issue since they were added. certs_cross
// holds further certificates of their keys, certs_ceremony the files the steps
// were read from, each as it was.
const generationTables = `
CREATE TABLE certs_generation (
  issuer BYTEA PRIMARY KEY,
  starts BIGINT,
  stopped BIGINT,
  how TEXT NOT NULL,
  archive BYTEA
);
INSERT INTO certs_generation (issuer, starts, how) SELECT id, added, '' FROM certs_issuer;
CREATE TABLE certs_cross (
  issuer BYTEA NOT NULL,
  by_issuer BYTEA NOT NULL,
  serial BYTEA NOT NULL,
  der BYTEA NOT NULL,
  PRIMARY KEY (by_issuer, serial)
);
CREATE TABLE certs_ceremony (
  digest BYTEA PRIMARY KEY,
  held BIGINT NOT NULL,
  text TEXT NOT NULL
);
`

// How an authority stopped.
const (
	StoppedRevoked = "revoked"
	StoppedRetired = "retired"
)

var (
	// ErrNotIssuing: the authority has stopped, or does not issue yet.
	ErrNotIssuing = errors.New("the authority does not issue")
	// ErrGenerationEnded: it was revoked or retired, which is for ever.
	ErrGenerationEnded = errors.New("the authority was revoked or retired")
)

// Generation is an authority with where it stands in its life. Starts is zero
// while nobody has said from when on it issues, Stopped while it has not
// stopped; How is then empty. Archive is the SHA-256 of the archive a retired
// one left.
type Generation struct {
	Issuer
	Starts  time.Time
	Stopped time.Time
	How     string
	Revoked bool // it was revoked, whether or not it was retired since
	Archive journal.Hash
	Cross   [][]byte // further certificates of its key, DER, oldest first
}

// Generations gives every authority, oldest first.
func Generations(tx *ledger.Tx) ([]Generation, error) {
	issuers, err := Issuers(tx)
	if err != nil {
		return nil, err
	}
	out := make([]Generation, len(issuers))
	at := map[certs.IssuerID]*Generation{}
	for i := range issuers {
		out[i].Issuer = issuers[i]
		at[issuers[i].ID] = &out[i]
	}
	if err := readGenerations(tx, at); err != nil {
		return nil, fmt.Errorf("reading the generations: %w", err)
	}
	if err := readCross(tx, at); err != nil {
		return nil, fmt.Errorf("reading the cross-certificates: %w", err)
	}
	for i := range out {
		if g := &out[i]; g.How != "" {
			own, err := Judged(tx, g.ID, certs.Status{})
			if err != nil {
				return nil, err
			}
			g.Revoked = own.State == certs.StateRevoked
		}
	}
	return out, nil
}

func readGenerations(tx *ledger.Tx, at map[certs.IssuerID]*Generation) error {
	rows, err := tx.Query(`SELECT issuer, starts, stopped, how, archive FROM certs_generation`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, archive []byte
		var starts, stopped stamp
		var how string
		if err := rows.Scan(&id, &starts, &stopped, &how, &archive); err != nil {
			return err
		}
		if g := at[certs.IssuerID(id)]; g != nil {
			g.Starts, g.Stopped, g.How = starts.time(), stopped.time(), how
			copy(g.Archive[:], archive)
		}
	}
	return rows.Err()
}

func readCross(tx *ledger.Tx, at map[certs.IssuerID]*Generation) error {
	rows, err := tx.Query(`SELECT x.issuer, x.der FROM certs_cross x
		JOIN certs_serial s ON s.issuer = x.by_issuer AND s.serial = x.serial ORDER BY s.settled, x.serial`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, der []byte
		if err := rows.Scan(&id, &der); err != nil {
			return err
		}
		if g := at[certs.IssuerID(id)]; g != nil {
			g.Cross = append(g.Cross, der)
		}
	}
	return rows.Err()
}

// stage is the row of an authority's generation.
func stage(tx *ledger.Tx, id certs.IssuerID) (g Generation, err error) {
	var starts, stopped stamp
	err = tx.QueryRow(`SELECT starts, stopped, how FROM certs_generation WHERE issuer = $1`, journal.Hash(id)).
		Scan(&starts, &stopped, &g.How)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrUnknownIssuer
	}
	g.ID, g.Starts, g.Stopped = id, starts.time(), stopped.time()
	return g, err
}

// MayIssue refuses with ErrNotIssuing when an authority has stopped, or has not
// begun by the transaction's time.
func MayIssue(tx *ledger.Tx, id certs.IssuerID) error {
	g, err := stage(tx, id)
	switch {
	case err != nil:
		return fmt.Errorf("asking whether %s issues: %w", id, err)
	case !g.Stopped.IsZero():
		return fmt.Errorf("%w: it was %s %s", ErrNotIssuing, g.How, g.Stopped.Format(time.RFC3339))
	case g.Starts.IsZero() || tx.Time().Before(g.Starts):
		return fmt.Errorf("%w yet", ErrNotIssuing)
	}
	return nil
}

// Unretired refuses with ErrGenerationEnded when an authority was retired.
func Unretired(tx *ledger.Tx, id certs.IssuerID) error {
	g, err := stage(tx, id)
	if err == nil && g.How == StoppedRetired {
		err = ErrGenerationEnded
	}
	if err != nil {
		return fmt.Errorf("asking whether %s was retired: %w", id, err)
	}
	return nil
}

// Judged is what a status comes to, given the authority of the certificate: what
// stands below one that was revoked is revoked with it, as the status service
// says of it. It is not for lists, which leave that to the root's.
func Judged(tx *ledger.Tx, id certs.IssuerID, status certs.Status) (certs.Status, error) {
	if status.State == certs.StateRevoked {
		return status, nil
	}
	switch g, err := stage(tx, id); {
	case err != nil:
		return status, fmt.Errorf("asking whether %s was revoked: %w", id, err)
	case g.How == StoppedRevoked:
		return certs.Status{State: certs.StateRevoked, At: g.Stopped}, nil
	case g.How == StoppedRetired:
		return fallen(tx, id, status)
	}
	return status, nil
}

// fallen judges below an authority that was retired: it may have been revoked
// as well, which its own certificate tells.
func fallen(tx *ledger.Tx, id certs.IssuerID, status certs.Status) (certs.Status, error) {
	var der []byte
	if err := tx.QueryRow(`SELECT der FROM certs_issuer WHERE id = $1`, journal.Hash(id)).Scan(&der); err != nil {
		return status, fmt.Errorf("reading the certificate of %s: %w", id, err)
	}
	outline, err := certs.OutlineOf(der)
	if err != nil {
		return status, fmt.Errorf("reading the certificate of %s: %w", id, err)
	}
	same, err := BySerial(tx, outline.Serial)
	for i := range same {
		if bytes.Equal(same[i].DER, der) && same[i].Status.State == certs.StateRevoked {
			return same[i].Status, nil
		}
	}
	return status, err
}

// JudgedOf is StatusOf, Judged.
func JudgedOf(tx *ledger.Tx, ref certs.Ref) (certs.Status, error) {
	status, err := StatusOf(tx, ref)
	if err != nil {
		return status, err
	}
	return Judged(tx, ref.Issuer, status)
}

// StartIssuer says from when on an authority issues; the last word counts. The
// zero time means now. ErrGenerationEnded, ErrUnknownIssuer.
func StartIssuer(tx *ledger.Tx, id certs.IssuerID, from time.Time, ceremony journal.Hash) error {
	g, err := stage(tx, id)
	if err == nil && !g.Stopped.IsZero() {
		err = ErrGenerationEnded
	}
	if err != nil {
		return fmt.Errorf("starting issuer %s: %w", id, err)
	}
	if from.IsZero() {
		from = tx.Time()
	}
	g.Starts = wholeSecond(from)
	return setStage(tx, &g, ceremony)
}

// StopIssuer ends an authority for ever, in one of the two ways. What was
// revoked may still be retired, so that its lists are closed and its key goes.
func StopIssuer(tx *ledger.Tx, id certs.IssuerID, how string, ceremony journal.Hash) error {
	g, err := stage(tx, id)
	if err == nil && g.How == how {
		return nil // done before
	}
	if err == nil && g.How == StoppedRetired {
		err = ErrGenerationEnded
	}
	if err != nil {
		return fmt.Errorf("stopping issuer %s: %w", id, err)
	}
	if g.Stopped.IsZero() {
		g.Stopped = wholeSecond(tx.Time())
	}
	g.How = how
	return setStage(tx, &g, ceremony)
}

func setStage(tx *ledger.Tx, g *Generation, ceremony journal.Hash) error {
	_, err := tx.Exec(`UPDATE certs_generation SET starts = $1, stopped = $2, how = $3 WHERE issuer = $4`,
		g.Starts, g.Stopped, g.How, journal.Hash(g.ID))
	if err != nil {
		return fmt.Errorf("writing the generation of %s: %w", g.ID, err)
	}
	c := certs.GenerationChanged{Issuer: g.ID, Starts: g.Starts, Stopped: g.Stopped, How: g.How, Ceremony: ceremony}
	tx.Append(journal.KindGenerationChanged, certs.GenerationChangedVersion, c.Append(nil))
	return nil
}

// SetArchive notes the SHA-256 of the archive a retired authority leaves.
func SetArchive(tx *ledger.Tx, id certs.IssuerID, archive journal.Hash) error {
	_, err := tx.Exec(`UPDATE certs_generation SET archive = $1 WHERE issuer = $2`, archive, journal.Hash(id))
	if err != nil {
		return fmt.Errorf("noting the archive of %s: %w", id, err)
	}
	return nil
}

// AddCross notes a further certificate of an authority's key, which stands
// recorded under by, and announces it.
func AddCross(tx *ledger.Tx, by certs.Ref, der []byte, ceremony journal.Hash) error {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("adding a cross-certificate: %w", err)
	}
	id := certs.IssuerIDOf(c)
	if _, err := shardsOf(tx, id); err != nil {
		return fmt.Errorf("adding a cross-certificate of %s: %w", id, err)
	}
	tx.Defer(`INSERT INTO certs_cross (issuer, by_issuer, serial, der) VALUES ($1, $2, $3, $4)`,
		journal.Hash(id), journal.Hash(by.Issuer), []byte(by.Serial), der)
	change := certs.CrossCertified{Issuer: id, DER: der, Ceremony: ceremony}
	tx.Append(journal.KindCrossCertified, certs.CrossCertifiedVersion, change.Append(nil))
	return nil
}

// RecordCeremony keeps the text of a ceremony's file, by its SHA-256. One that
// is held again, to finish what was interrupted, is kept once.
func RecordCeremony(tx *ledger.Tx, digest journal.Hash, text string) error {
	_, err := tx.Exec(`INSERT INTO certs_ceremony (digest, held, text) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		digest, tx.Time(), text)
	if err != nil {
		return fmt.Errorf("recording the ceremony %x: %w", digest[:8], err)
	}
	return nil
}

// Unended is how many certificates of an authority have not ended at a moment,
// revoked ones left out, and when the last of them ends.
func Unended(tx *ledger.Tx, id certs.IssuerID, at time.Time) (n int64, last time.Time, err error) {
	if n, last, err = unended(tx, id, at); err != nil {
		err = fmt.Errorf("counting the certificates of %s: %w", id, err)
	}
	return n, last, err
}

func unended(tx *ledger.Tx, id certs.IssuerID, at time.Time) (n int64, last time.Time, err error) {
	number, err := numberOf(tx, id)
	if err != nil {
		return 0, last, err
	}
	inRuns, err := runs(tx, ` WHERE issuer = $1 AND status = $2 AND last_end > $3`, number, uint8(certs.StateRevoked), at)
	if err != nil {
		return 0, last, err
	}
	revoked := map[certs.Serial]bool{}
	for _, r := range inRuns {
		for _, e := range r.entries {
			revoked[e.serial] = true
		}
	}
	rows, err := tx.Query(`SELECT s.serial, s.not_after FROM certs_serial s WHERE s.issuer = $1 AND s.state = $2 AND s.not_after > $3 AND NOT EXISTS
		(SELECT 1 FROM certs_status t WHERE t.issuer = $4 AND t.shard = s.shard AND t.serial = s.serial AND t.status = $5)`,
		journal.Hash(id), serialRecorded, at, number, uint8(certs.StateRevoked))
	if err != nil {
		return 0, last, err
	}
	defer rows.Close()
	var serial sql.RawBytes
	var end any
	for rows.Next() {
		if err := rows.Scan(&serial, &end); err != nil {
			return 0, last, err
		}
		if revoked[certs.Serial(serial)] {
			continue
		}
		n++
		if is := timeOf(end); is.After(last) {
			last = is
		}
	}
	return n, last, rows.Err()
}
