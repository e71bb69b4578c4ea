package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"cardinal/issuance/api"
	"cardinal/issuance/card"
	"cardinal/tools/internal/pending"
)

// making is one pair on its way: the card, its PIN, and how the server is asked.
type making struct {
	card      card.Card
	pin       string
	algorithm card.Algorithm
	subject   string
	renewing  bool // the present key proves the card to the agent's request
	made      bool // the server says that the pair exists: only a pending request may go on
	ask       func(context.Context, api.PairRequest) (*api.Issued, error)
	find      func(context.Context, *pending.Request) (*api.Issued, error) // nil where the server has no pair for these keys
}

// make takes a pair from keys to certificates that were read back and used.
func (s *station) make(ctx context.Context, m making) (*api.Issued, error) {
	serial, err := m.card.Serial()
	if err != nil {
		return nil, err
	}
	path, err := s.pendingPath(serial)
	if err != nil {
		return nil, err
	}
	p, err := s.resume(m, serial, path)
	if err != nil {
		return nil, err
	}
	var issued *api.Issued
	if p != nil {
		issued, err = m.find(ctx, p)
	} else {
		p, err = s.prepare(m, serial, path)
	}
	if err != nil {
		return nil, err
	}
	if issued == nil {
		issued, err = s.askAgain(ctx, m, p.Pair())
	}
	if err != nil {
		return nil, err
	}
	s.say("writing the certificates")
	if err := p.Complete(m.card, issued.Certificates); err != nil {
		return nil, err
	}
	if err := m.use(); err != nil {
		return nil, err
	}
	return issued, os.Remove(path)
}

var errPairElsewhere = errors.New("its pair was issued, and to other keys than this station asked for")

// resume takes up the pending request for this card and subject; nil when
// there is none.
func (s *station) resume(m making, serial, path string) (*pending.Request, error) {
	p, err := pending.Read(path)
	if err != nil {
		return nil, err
	}
	if p != nil && p.Subject == m.subject && p.Enrolment.Serial == serial {
		s.say("taking up request " + p.RequestID + ", which was not finished")
		return p, nil
	}
	if m.made {
		return nil, refused(m.subject, errPairElsewhere)
	}
	return nil, nil
}

// prepare has the card make two keys and keeps the request for their pair.
func (s *station) prepare(m making, serial, path string) (*pending.Request, error) {
	o := pending.Order{Card: m.card, PIN: m.pin, Algorithm: m.algorithm, Subject: m.subject,
		RequestID: "station-" + serial + "-" + rand.Text()[:12]}
	if m.renewing {
		o.Proven = s.now()
	}
	s.say("making two keys on card " + serial)
	return pending.Make(path, o)
}

// askAgain asks for the pair, and again for a minute where no answer was had:
// the request id makes that safe.
func (s *station) askAgain(ctx context.Context, m making, request api.PairRequest) (*api.Issued, error) {
	for delay := time.Second; ; delay *= 2 {
		s.say("asking for the certificates")
		issued, err := m.ask(ctx, request)
		var unreachable *api.Unreachable
		if !errors.As(err, &unreachable) || delay > 32*time.Second {
			return issued, err
		}
		s.say(fmt.Sprintf("%v; once more in %s", err, delay))
		if err := s.wait(ctx, delay); err != nil {
			return nil, err
		}
	}
}

// use signs with both keys and checks with what the certificates say.
func (m making) use() error {
	for _, slot := range []card.Slot{card.SlotAuthentication, card.SlotSignature} {
		der, err := m.card.Certificate(slot)
		if err != nil {
			return err
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("reading back slot %s: %w", slot, err)
		}
		key, err := m.card.Signer(slot, m.pin)
		if err != nil {
			return err
		}
		digest := sha256.Sum256([]byte(rand.Text()))
		signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil {
			return fmt.Errorf("signing with slot %s: %w", slot, err)
		}
		if !verifies(certificate.PublicKey, digest[:], signature) {
			return fmt.Errorf("signing with slot %s: the certificate is for another key", slot)
		}
	}
	return nil
}

func verifies(public crypto.PublicKey, digest, signature []byte) bool {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, digest, signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, digest, signature) == nil
	}
	return false
}
