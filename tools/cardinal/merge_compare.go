package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
	"cardinal/issuance"
	"cardinal/ocsp"
	"cardinal/policies"
)

// compare goes through the replica once and notes what the ledger lacks. It
// refuses a copy of another history: one with other issuers, without a
// certificate or a revocation that the backup had, or with another certificate
// under a serial.
func (m *merging) compare(ctx context.Context) error {
	if err := m.ledger.Read(ctx, m.readIssuers); err != nil {
		return err
	}
	bar := m.a.progress("comparing certificates", 0)
	err := m.file.View(ocsp.NewTable().Name(), func(b *bbolt.Bucket) error {
		if err := m.checkIssuers(b); err != nil {
			return err
		}
		for issuer := range m.issuers {
			err := ocsp.EachRecord(b, issuer, func(serial certs.Serial, r ocsp.Record) error {
				bar.add(1)
				m.look = append(m.look, sighting{certs.Ref{Issuer: issuer, Serial: serial}, r})
				if len(m.look) < mergeLook {
					return nil
				}
				return m.compareLook(ctx)
			})
			if err != nil {
				return err
			}
		}
		return m.compareLook(ctx)
	})
	bar.finish()
	if err != nil {
		return err
	}
	return m.checkWhole(ctx)
}

func (m *merging) readIssuers(tx *ledger.Tx) error {
	all, err := register.Issuers(tx)
	m.issuers = map[certs.IssuerID]register.Issuer{}
	for _, i := range all {
		m.issuers[i.ID] = i
	}
	return err
}

// checkIssuers demands the same authorities, by key, on both sides.
func (m *merging) checkIssuers(b *bbolt.Bucket) error {
	n := 0
	err := ocsp.EachIssuer(b, func(i *ocsp.Issuer) error {
		n++
		if _, ours := m.issuers[i.ID]; !ours {
			return refused("the replica", fmt.Errorf("%w: its authority %s is none of the ledger's", errOtherStory, i.Name))
		}
		return nil
	})
	if err == nil && n != len(m.issuers) {
		err = refused("the replica", fmt.Errorf("%w: it has %d authorities, the ledger %d", errOtherStory, n, len(m.issuers)))
	}
	return err
}

// compareLook looks up in one snapshot what has gathered.
func (m *merging) compareLook(ctx context.Context) error {
	defer func() { m.look = m.look[:0] }()
	return m.ledger.Read(ctx, func(tx *ledger.Tx) error {
		for i := range m.look {
			s := &m.look[i]
			c, err := register.CertificateOf(tx, s.Ref)
			if errors.Is(err, register.ErrUnknownSerial) {
				m.lost = append(m.lost, m.lostOf(s))
				continue
			}
			if err != nil {
				return err
			}
			if err := m.compareOne(s, &c); err != nil {
				return refused("the replica", fmt.Errorf("%w: certificate %s %w", errOtherStory, s.Serial, err))
			}
		}
		return nil
	})
}

var (
	errOtherBytes = errors.New("is another one there")
	errUnrevoked  = errors.New("was revoked before the backup and is not there")
)

func (m *merging) compareOne(s *sighting, c *register.Certificate) error {
	before := func(t time.Time) bool { return !t.After(m.began.PreviousTime) }
	if before(c.Recorded) {
		m.known++
		if s.Digest != c.Digest {
			return errOtherBytes
		}
	}
	if c.Status.State == certs.StateRevoked && s.Status.State != certs.StateRevoked && before(c.Changed) {
		return errUnrevoked
	}
	switch stricter := s.Status.StricterThan(c.Status); {
	case stricter && c.Profile == policies.ProfileOperator:
		m.operators = true
	case stricter:
		m.changed = append(m.changed, regained{issuance.Regained{Ref: s.Ref, Status: statusToGive(s.Status)}, c.Card})
	}
	return nil
}

// statusToGive is a status as the register takes it. The register dates a
// revocation by its own transaction, so the day it was first made on is kept as
// the one from which the certificate was invalid (RFC 5280 §5.3.2).
func statusToGive(s certs.Status) certs.Status {
	if s.State == certs.StateRevoked && s.Invalidity.IsZero() {
		s.Invalidity = s.At
	}
	return s
}

func (m *merging) lostOf(s *sighting) register.Lost {
	issuer := m.issuers[s.Issuer]
	l := register.Lost{Ref: s.Ref, Shard: ca.ShardOf(s.Serial, issuer.Shards), NotAfter: s.NotAfter}
	if s.Status.State == certs.StateRevoked {
		l.Reason, l.Invalidity = s.Status.Reason, statusToGive(s.Status).Invalidity
	}
	if !s.Recorded { // a status it kept from an earlier restore: the certificate ends with its issuer at the latest
		if outline, err := certs.OutlineOf(issuer.DER); err == nil {
			l.NotAfter = outline.NotAfter
		}
	}
	return l
}

// checkWhole demands that every certificate of the backup was met.
func (m *merging) checkWhole(ctx context.Context) error {
	return m.ledger.Read(ctx, func(tx *ledger.Tx) error {
		all, err := register.SettledUpTo(tx, m.began.PreviousTime)
		if err == nil && all != m.known {
			err = refused("the replica", fmt.Errorf("%w: the backup had %d certificates, it knows %d of them", errOtherStory, all, m.known))
		}
		return err
	})
}

// write gives everything back in blocks: what was lost first, which nobody can
// have asked about, then the statuses, card by card.
func (m *merging) write(ctx context.Context) (issuance.Regains, error) {
	for block := range slices.Chunk(m.lost, mergeBlock) {
		_, err := m.ledger.Write(ctx, func(tx *ledger.Tx) error {
			if !tx.Head().Quarantine {
				return issuance.ErrNoQuarantine
			}
			return register.Reclaim(tx, block...)
		})
		if err != nil {
			return issuance.Regains{}, err
		}
	}
	var done issuance.Regains
	slices.SortFunc(m.changed, func(a, b regained) int { return cmp.Compare(a.card, b.card) })
	for from := 0; from < len(m.changed); {
		to := min(from+mergeBlock, len(m.changed))
		for to < len(m.changed) && m.changed[to].card != "" && m.changed[to].card == m.changed[to-1].card {
			to++ // a card's certificates change together
		}
		var block []issuance.Regained
		for _, r := range m.changed[from:to] {
			block = append(block, r.Regained)
		}
		one, err := m.desk.Regain(ctx, block)
		if err != nil {
			return done, err
		}
		done.Revoked, done.Held, done.Cards = done.Revoked+one.Revoked, done.Held+one.Held, done.Cards+one.Cards
		from = to
	}
	return done, m.endOperators(ctx, &done)
}

// endOperators comes last: by then it stands whose card still counts.
func (m *merging) endOperators(ctx context.Context, done *issuance.Regains) error {
	if !m.operators {
		return nil
	}
	ended, err := m.desk.RegainOperators(ctx)
	if err == nil && ended == 0 {
		m.a.say("the bootstrap operators had been ended and count again, since no RA manager holds an active card here: see that two get one soon")
	}
	done.Revoked += ended
	return err
}
