package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cardinal/certs"
	"cardinal/certs/nodes"
	"cardinal/certs/register"
	entries "cardinal/directory/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/issuance"
	"cardinal/tools/internal/workforce"
)

// seeding writes cards into a ledger that nobody serves: one for each person of
// a workforce, with a pair made from one real pair by another serial and name.
// Nobody signed them, so nobody signs in with one; all that counts, holds and
// lists cards works on them as on real ones.
type seeding struct {
	people workforce.Options
	url    string
	pair   string
	keys   string
	block  int
}

func seedCommand(out io.Writer) *cobra.Command {
	s := &seeding{}
	c := &cobra.Command{Use: "seed", Short: "Write a card for each person of a workforce into a ledger that is not served", Args: cobra.NoArgs,
		Long: `The people must be in the directory (load data --cards, then cardinal import). Their certificates are
one real pair with other serials and names, whose keys nobody has; without --keys no CA signed them
either: good for measuring what many cards cost, and for nothing else.`,
		Example: "  load seed --ledger sqlite:cards/ledger.db --people 760000 --pair pair",
		RunE: func(cmd *cobra.Command, _ []string) error {
			began := time.Now()
			n, err := s.run(cmd.Context())
			fmt.Fprintf(out, "%d cards in %.1f s\n", n, time.Since(began).Seconds())
			return err
		}}
	workforceFlags(c, &s.people)
	c.Flags().StringVar(&s.url, "ledger", "", "the ledger, sqlite:PATH or postgres://…")
	c.Flags().StringVar(&s.pair, "pair", "pair", "folder with authentication.pem and signature.pem of a real card")
	c.Flags().StringVar(&s.keys, "keys", "", "folder with authentication.key and signing.key, to sign each certificate anew, so that cardinal verify agrees ($CARDINAL_PASSPHRASE_FILE)")
	c.Flags().IntVar(&s.block, "block", 500, "cards a transaction")
	return c
}

// cardEnds is what load data --cards says of every card.
func cardEnds() int64 { return time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro() }

// cardNumber is what a workforce's person has: load data --cards writes the same.
func cardNumber(i int) string { return fmt.Sprintf("C%010d", i) }

// drawnAt is when the serials of the i-th card were drawn: every two minutes one,
// as 760,000 cards of three years are.
func drawnAt(i int) time.Time {
	return time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 2 * time.Minute)
}

// cardHolders are the people in the order in which they got their cards: that of
// their numbers. Rows of the register lie in the order cards were made in; what
// was imported lies in the order of names, and would otherwise be read block by
// block for each card, as no entry that came with its card is.
func cardHolders(o workforce.Options) []string { return slices.Sorted(workforce.Numbers(o)) }

func (s *seeding) run(ctx context.Context) (n int, err error) {
	l, err := ledger.Open(ctx, ledger.Options{URL: s.url, MaxSkew: -1,
		Rooms: []ledger.Room{register.Room(), entries.Room(), issuance.Room(), nodes.Room()}})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	return s.write(ctx, l)
}

// write gives everybody a card, and says how many that were.
func (s *seeding) write(ctx context.Context, l *ledger.Ledger) (n int, err error) {
	moulds, err := readMoulds(s.pair)
	if err == nil && s.keys != "" {
		err = openSigners(ctx, s.keys, moulds)
	}
	if err != nil {
		return 0, err
	}
	for people := range slices.Chunk(cardHolders(s.people), s.block) {
		if _, err := l.Write(ctx, func(tx *ledger.Tx) error { return seedBlock(tx, moulds, n, people) }); err != nil {
			return n, err
		}
		n += len(people)
	}
	return n, nil
}

// mould is one certificate of the real pair.
type mould struct {
	profile string
	issuer  certs.IssuerID
	of      *x509.Certificate
	holder  string
	serial  []byte
	signer  crypto.Signer // nil: casts keep the mould's signature
}

func readMoulds(folder string) ([2]*mould, error) {
	var both [2]*mould
	for i, file := range []string{"authentication", "signature"} {
		data, err := os.ReadFile(filepath.Join(folder, file+".pem"))
		if err != nil {
			return both, err
		}
		block, _ := pem.Decode(data)
		if block == nil {
			return both, wrong("%s.pem is no PEM", file)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return both, err
		}
		both[i] = &mould{profile: file, of: c, serial: c.SerialNumber.Bytes(), holder: strings.SplitN(c.Subject.CommonName, "_", 2)[0]}
		if len(both[i].serial) != 16 || len(both[i].holder) != 12 {
			return both, wrong("%s.pem: a serial of %d octets for %q", file, len(both[i].serial), both[i].holder)
		}
	}
	return both, nil
}

// cast makes a certificate of the mould's size for somebody else.
func (m *mould) cast(at time.Time, holder string) (serial, der []byte, err error) {
	drawn, err := certs.NewSerial(at, rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial = drawn.Bytes() // as long as the mould's
	der = slices.Clone(m.of.Raw)
	copy(der[bytes.Index(der, m.serial):], serial)
	der = bytes.ReplaceAll(der, []byte(m.holder), []byte(holder))
	if m.signer != nil {
		der, err = m.signed(der)
	}
	return serial, der, err
}

// issuers finds who signed the moulds.
func findIssuers(tx *ledger.Tx, moulds [2]*mould) error {
	all, err := register.Issuers(tx)
	for _, i := range all {
		c, err := x509.ParseCertificate(i.DER)
		if err != nil {
			return err
		}
		for _, m := range moulds {
			if bytes.Equal(c.SubjectKeyId, m.of.AuthorityKeyId) {
				m.issuer = i.ID
			}
		}
	}
	return err
}

func seedBlock(tx *ledger.Tx, moulds [2]*mould, from int, people []string) error {
	if moulds[0].issuer == (certs.IssuerID{}) {
		if err := findIssuers(tx, moulds); err != nil {
			return err
		}
	}
	b := &seeded{tx: tx, recorded: [2]*certs.Recorded{{Issuer: moulds[0].issuer}, {Issuer: moulds[1].issuer}}}
	for i, person := range people {
		if err := b.card(moulds, from+i, person); err != nil {
			return err
		}
	}
	for _, r := range b.recorded {
		for _, part := range r.Split() {
			tx.Append(journal.KindCertificatesRecorded, certs.RecordedVersion, part.Append(nil))
		}
	}
	b.flush()
	return nil
}

// seeded is one block being written, each table by statements of many rows.
type seeded struct {
	tx       *ledger.Tx
	recorded [2]*certs.Recorded
	rows     map[string][][]any
}

func (b *seeded) add(into string, values ...any) {
	if b.rows == nil {
		b.rows = map[string][][]any{}
	}
	if b.rows[into] = append(b.rows[into], values); len(b.rows[into]) == rowsAtOnce {
		b.insert(into)
	}
}

// rowsAtOnce is few: more in a statement spare little, and were five times as dear while SQLite's parameters went by name.
const rowsAtOnce = 4

func (b *seeded) insert(into string) {
	rows := b.rows[into]
	if len(rows) == 0 {
		return
	}
	var text strings.Builder
	text.WriteString("INSERT INTO " + into + " VALUES ")
	var args []any
	for i, row := range rows {
		if i > 0 {
			text.WriteString(", ")
		}
		for j := range row {
			text.WriteString(map[bool]string{true: "($", false: ", $"}[j == 0] + strconv.Itoa(len(args)+j+1))
		}
		text.WriteString(")")
		args = append(args, row...)
	}
	b.tx.Defer(text.String(), args...)
	b.rows[into] = nil
}

func (b *seeded) flush() {
	for _, into := range []string{serialRows, certificateRows, caseRows, cardRows, pairRows, decisionRows} {
		b.insert(into)
	}
}

// The rows a card has.
const (
	serialRows = `certs_serial (issuer, serial, state, profile, holder, card, request, shard, key_digest, policy, tbs_hash,
		not_before, not_after, reserved, settled, why)`
	certificateRows = `certs_certificate (issuer, serial, digest, der)`
	caseRows        = `issuance_cases (id, person, kind, state, card, replaces, opened)`
	cardRows        = `issuance_cards (id, person, case_id, state, before_hold, reason, replaces, replaced_by, pair, not_before, not_after)`
	pairRows        = `issuance_pairs (card, pair, authentication_issuer, authentication_serial, authentication_key, signature_issuer, signature_serial, signature_key, not_before, not_after)`
	decisionRows    = `issuance_decisions (subject, n, verb, from_state, to_state, actor, role, at, policies, reason)`
)

func (b *seeded) card(moulds [2]*mould, n int, person string) error {
	card := cardNumber(n)
	now, ends := moulds[0].of.NotBefore.UnixMicro(), moulds[0].of.NotAfter.UnixMicro()
	at := b.tx.Time().UnixMicro()
	pair := []any{card, 1}
	for i, m := range moulds {
		serial, der, err := m.cast(drawnAt(n), person)
		if err != nil {
			return err
		}
		digest, key := sha256.Sum256(der), make([]byte, sha256.Size)
		rand.Read(key)
		shard := uint16(serial[15] % 16)
		issuer := journal.Hash(m.issuer)
		b.add(serialRows, issuer, serial, 1, m.profile, person, card, "seed", shard, key, key, key, now, ends, at, at, "")
		b.add(certificateRows, issuer, serial, digest[:], der)
		pair = append(pair, issuer, serial, key)
		b.recorded[i].Certificates = append(b.recorded[i].Certificates, certs.RecordedCertificate{Serial: certs.Serial(serial),
			Digest: digest, NotAfter: m.of.NotAfter, Shard: shard, Profile: m.profile, Holder: person})
	}
	b.add(pairRows, append(pair, now, ends)...)
	b.add(caseRows, "R"+card[1:], person, "first", "handed-over", card, "", now)
	b.add(cardRows, card, person, "R"+card[1:], "active", "", "", "", "", 1, now, cardEnds())
	b.add(decisionRows, card, 1, "hand-over", "issued", "active", "seed", "", at, make([]byte, sha256.Size), "load seed")
	return nil
}
