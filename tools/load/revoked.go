package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"cardinal/certs"
	"cardinal/certs/nodes"
	"cardinal/certs/register"
	entries "cardinal/directory/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/issuance"
)

// revoking writes revoked certificates into a ledger that nobody serves, half
// of each of a pair's CAs: what was revoked in all the years before. Their
// rows and changes are those of real ones; the certificates themselves are left
// out, so cardinal verify misses them.
type revoking struct {
	url    string
	pair   string
	number int
	block  int

	moulds [2]*mould
}

func revokedCommand(out io.Writer) *cobra.Command {
	r := &revoking{}
	c := &cobra.Command{Use: "revoked", Short: "Write revoked certificates into a ledger that is not served", Args: cobra.NoArgs,
		Long: `They are the past a list and a copy have to carry: half of them of the authentication CA, half of
the signing CA, evenly over the shards, each recorded and revoked. The certificates themselves are left
out: good for measuring what many revocations cost, and for nothing else.`,
		Example: "  load revoked --ledger sqlite:cards/ledger.db --number 3000000 --pair staff/pair",
		RunE: func(cmd *cobra.Command, _ []string) error {
			began := time.Now()
			err := r.run(cmd.Context())
			if err == nil {
				_, err = fmt.Fprintf(out, "%d revoked certificates in %.1f s\n", r.number, time.Since(began).Seconds())
			}
			return err
		}}
	c.Flags().StringVar(&r.url, "ledger", "", "the ledger, sqlite:PATH or postgres://…")
	c.Flags().StringVar(&r.pair, "pair", "pair", "folder with authentication.pem and signature.pem of a real card")
	c.Flags().IntVar(&r.number, "number", 1_000_000, "how many")
	c.Flags().IntVar(&r.block, "block", 4000, "certificates a transaction")
	return c
}

func (r *revoking) run(ctx context.Context) (err error) {
	if r.moulds, err = readMoulds(r.pair); err != nil {
		return err
	}
	l, err := ledger.Open(ctx, ledger.Options{URL: r.url, MaxSkew: -1,
		Rooms: []ledger.Room{register.Room(), entries.Room(), issuance.Room(), nodes.Room()}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if _, err := l.Write(ctx, func(tx *ledger.Tx) error { return findIssuers(tx, r.moulds) }); err != nil {
		return err
	}
	for from := 0; from < r.number; from += r.block {
		if _, err := l.Write(ctx, func(tx *ledger.Tx) error { return r.write(tx, from, min(r.block, r.number-from)) }); err != nil {
			return err
		}
	}
	return nil
}

// revokedRow writes a certificate, revokedStatus its status, a row a statement.
const (
	revokedRow = `INSERT INTO certs_serial (issuer, serial, state, profile, holder, card, request, shard, key_digest, policy, tbs_hash,
		not_before, not_after, reserved, settled, why)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`
	revokedStatus = `INSERT INTO certs_status (issuer, shard, serial, status, reason, revoked, not_after, changed)
		VALUES ((SELECT number FROM certs_issuer WHERE id = $1), $2, $3, $4, $5, $6, $7, $8)`
)

// threeYears is how long the cards took whose certificates are revoked by now.
const threeYears = 3 * 365 * 24 * time.Hour

// write writes one block. Serials rise from block to block, as those of real
// certificates do.
func (r *revoking) write(tx *ledger.Tx, from, n int) error {
	for i, m := range r.moulds {
		recorded := &certs.Recorded{Issuer: m.issuer}
		status := certs.Status{State: certs.StateRevoked, Reason: certs.ReasonKeyCompromise, At: tx.Time().Truncate(time.Second)}
		change := &certs.StatusChange{Issuer: m.issuer, Status: status}
		var shards [16]int
		for k := from + i; k < from+n; k += len(r.moulds) {
			c, err := r.record(tx, m, k, status)
			if err != nil {
				return err
			}
			recorded.Certificates = append(recorded.Certificates, c)
			change.Serials = append(change.Serials, c.Serial)
			shards[c.Shard]++
		}
		for _, part := range recorded.Split() {
			tx.Append(journal.KindCertificatesRecorded, certs.RecordedVersion, part.Append(nil))
		}
		for _, part := range change.Split() {
			tx.Append(journal.KindStatusChanged, certs.StatusChangeVersion, part.Append(nil))
		}
		for shard, count := range shards {
			tx.Defer(`UPDATE certs_shard SET changes = changes + $1, changed = $2 WHERE issuer = $3 AND shard = $4`,
				count, tx.Time().UnixMicro(), journal.Hash(m.issuer), shard)
		}
	}
	return nil
}

// record adds the row of the k-th certificate.
func (r *revoking) record(tx *ledger.Tx, m *mould, k int, status certs.Status) (certs.RecordedCertificate, error) {
	drawn, err := certs.NewSerial(drawnAt(0).Add(time.Duration(k)*(threeYears/time.Duration(r.number))), rand.Reader)
	if err != nil {
		return certs.RecordedCertificate{}, err
	}
	serial, digest := drawn.Bytes(), journal.Hash{1}
	copy(digest[1:], serial)
	c := certs.RecordedCertificate{Serial: certs.Serial(serial), Digest: digest, NotAfter: m.of.NotAfter, Shard: uint16(serial[15] % 16),
		Profile: m.profile, Holder: fmt.Sprintf("8%011d", k/2)}
	at, none := tx.Time().UnixMicro(), make([]byte, len(digest))
	tx.Defer(revokedRow, journal.Hash(m.issuer), serial, 1, m.profile, c.Holder, "", "seed", c.Shard, digest[:], none, none,
		m.of.NotBefore.UnixMicro(), m.of.NotAfter.UnixMicro(), at, at, "")
	tx.Defer(revokedStatus, journal.Hash(m.issuer), c.Shard, serial, uint8(status.State), uint8(status.Reason), status.At.UnixMicro(), m.of.NotAfter.UnixMicro(), at)
	return c, nil
}
