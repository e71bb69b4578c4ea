package ca

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// never is the nextUpdate of a last list: no list follows it (RFC 5280
// §4.1.2.5 writes "no end" like this, ETSI EN 319 411-1 CSS-6.3.9-06 asks for
// it in the last list).
func never() time.Time { return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }

// Retirement closes an authority. The archive of what every certificate of it
// came to is written to Archive. Unended certificates stop it, unless Early.
type Retirement struct {
	Name     string
	Archive  io.Writer
	Early    bool
	Ceremony journal.Hash
}

// Archived is what a retirement leaves: the SHA-256 of the archive, the
// authority's signature over it (ECDSA or RSA over SHA-256 or, for a P-384
// key, SHA-384 of the archive's octets), and how many certificates it tells of.
type Archived struct {
	Digest       journal.Hash
	Signature    []byte
	Certificates int64
}

// Retire ends an authority whose work is done: it issues nothing more, each
// list gets a successor that never falls due, and every certificate's fate is
// written into an archive that its key signs. After that the key is needed no
// more and the caller destroys it. Done again after an interruption it goes
// through all of it once more. ErrUnended, ErrNoKey, ErrNotBelow for a root
// below which an authority still stands.
func (a *Authority) Retire(ctx context.Context, r Retirement) (Archived, error) {
	done, err := a.retire(ctx, r)
	if err != nil {
		return done, fmt.Errorf("retiring authority %s: %w", r.Name, err)
	}
	return done, nil
}

func (a *Authority) retire(ctx context.Context, r Retirement) (Archived, error) {
	at := a.known.Load().byName[r.Name]
	switch {
	case at == nil:
		return Archived{}, ErrUnknownIssuer
	case at.Signer == nil:
		return Archived{}, ErrNoKey
	}
	_, err := a.Ledger.Write(ctx, func(tx *ledger.Tx) error {
		if n, last, err := register.Unended(tx, at.id, tx.Time()); err != nil || n > 0 && !r.Early {
			return unended(n, last, err)
		}
		return register.StopIssuer(tx, at.id, register.StoppedRetired, r.Ceremony)
	})
	if err != nil {
		return Archived{}, err
	}
	closing := *at
	closing.stage = &register.Generation{How: register.StoppedRetired}
	for _, which := range a.Lists.complete(at) { // one after the other: nobody waits for these
		if _, err := a.publish(ctx, wanted{at: &closing, which: which}); err != nil {
			return Archived{}, err
		}
	}
	done, err := a.archive(ctx, &closing, r.Archive)
	if err != nil {
		return done, err
	}
	_, err = a.Ledger.Write(ctx, func(tx *ledger.Tx) error { return register.SetArchive(tx, at.id, done.Digest) })
	if err != nil {
		return done, err
	}
	return done, a.Refresh(ctx)
}

func unended(n int64, last time.Time, err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %d, the last one ends %s", ErrUnended, n, day(last))
}

// archiveHead is the archive's first line.
type archiveHead struct {
	Authority   string    `json:"authority"`
	Key         string    `json:"key"` // certs.IssuerID in hex
	Certificate []byte    `json:"certificate"`
	AsOf        time.Time `json:"as_of"`
}

// archiveLine is one certificate of the archive. SHA256 is of its DER, absent
// for a serial that was promised and never delivered.
type archiveLine struct {
	Serial     string     `json:"serial"`
	Profile    string     `json:"profile"`
	Holder     string     `json:"holder"`
	SHA256     string     `json:"sha256,omitempty"`
	NotBefore  time.Time  `json:"not_before"`
	NotAfter   time.Time  `json:"not_after"`
	Status     string     `json:"status"`
	Reason     string     `json:"reason,omitempty"`
	Revoked    *time.Time `json:"revoked,omitempty"`
	Invalidity *time.Time `json:"invalidity,omitempty"`
}

// archiveEnd is the archive's last line.
type archiveEnd struct {
	Certificates int64 `json:"certificates"`
}

// archive writes one JSON object a line, in the order of the serials.
func (a *Authority) archive(ctx context.Context, at *hand, w io.Writer) (Archived, error) {
	var done Archived
	scheme, err := schemeOf(at.Signer.Public())
	if err != nil {
		return done, err
	}
	digest, signed := sha256.New(), scheme.hash.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, digest, signed), 1<<16)
	lines := json.NewEncoder(out)
	err = a.Ledger.Read(ctx, func(tx *ledger.Tx) error {
		head := archiveHead{Authority: at.name, Key: at.id.String(), Certificate: at.Issuer.Certificate.Raw, AsOf: tx.Time().UTC()}
		if err := lines.Encode(head); err != nil {
			return err
		}
		for c, err := range register.OfIssuer(tx, at.id) {
			if err != nil {
				return err
			}
			if err := lines.Encode(lineOf(&c)); err != nil {
				return err
			}
			done.Certificates++
		}
		return lines.Encode(archiveEnd{done.Certificates})
	})
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return done, fmt.Errorf("writing the archive: %w", err)
	}
	digest.Sum(done.Digest[:0])
	done.Signature, err = at.Signer.Sign(rand.Reader, signed.Sum(nil), scheme.hash)
	return done, err
}

func lineOf(c *register.Certificate) archiveLine {
	line := archiveLine{Serial: c.Serial.Hex(), Profile: c.Profile, Holder: c.Holder, NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		Status: c.Status.State.String()}
	if c.Digest != (journal.Hash{}) {
		line.SHA256 = hex.EncodeToString(c.Digest[:])
	}
	if c.Status.State == certs.StateGood {
		return line
	}
	line.Reason, line.Revoked = c.Status.Reason.String(), &c.Status.At
	if !c.Status.Invalidity.IsZero() {
		line.Invalidity = &c.Status.Invalidity
	}
	return line
}
