package main

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"

	"cardinal/issuance/api"
	"cardinal/issuance/card"
	"cardinal/tools/internal/pending"
)

// openSimulator makes, once, the root that signs the attestation keys of a
// demo's simulated cards, and gives its path. It proves nothing about
// hardware.
func openSimulator(f folder) (string, error) {
	if _, err := os.Stat(f.simulator()); err == nil {
		return "simulator.pem", nil
	}
	root, err := card.NewAttestationRoot()
	if err != nil {
		return "", err
	}
	return "simulator.pem", root.Save(f.simulator())
}

// simulatorBeside finds the root of the demo whose operator this is.
func simulatorBeside(operator string) (*card.AttestationRoot, error) {
	path := folder(filepath.Dir(filepath.Dir(operator))).simulator()
	root, err := card.ReadAttestationRoot(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return root, err
}

// ownCard is an operator's simulated card, open until the command ends: its key
// is used in each handshake, and a command may be about the card itself.
type ownCard struct {
	path string
	card card.Card
}

// is tells whether path names this card.
func (o *ownCard) is(path string) bool {
	if o == nil {
		return false
	}
	mine, err1 := os.Stat(o.path)
	other, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(mine, other)
}

func (o *ownCard) close() error {
	if o == nil {
		return nil
	}
	return o.card.Close()
}

// enrolment is a simulated card whose pair is asked for.
type enrolment struct {
	subject  string // the case, or the card for a renewal
	renewing bool
	ask      func(*api.PairRequest) (*api.Issued, error)
}

// enrolCard has a simulated card make its keys, asks for its pair, and writes
// the certificates to the card. What is asked is kept beside the card until
// the answer has arrived, so that the same request id asks the same again.
func (k *keysFrom) enrolCard(e enrolment) (issued *api.Issued, err error) {
	c, own, err := k.openCard(e.renewing)
	if err != nil {
		return nil, err
	}
	if !own {
		defer closeInto(&err, c)
	}
	const tail = ".pending"
	p, err := pending.Read(k.simulated + tail)
	if err == nil && (p == nil || p.RequestID != k.requestID) {
		o := pending.Order{Card: c, PIN: k.pin, Algorithm: card.P256, RequestID: k.requestID, Subject: e.subject}
		if e.renewing && !own { // its present key proves that the card lies here; an own card signs in with it
			o.Proven = k.d.a.now()
		}
		p, err = pending.Make(k.simulated+tail, o)
	}
	if err != nil {
		return nil, failing("simulated card", err)
	}
	pair := p.Pair()
	if issued, err = e.ask(&pair); err != nil {
		return nil, err
	}
	if err := p.Complete(c, issued.Certificates); err != nil {
		return nil, err
	}
	return issued, os.Remove(k.simulated + tail)
}

// openCard opens the simulated card, or shares the one the operator signs in
// with.
func (k *keysFrom) openCard(exists bool) (c card.Card, own bool, err error) {
	if k.d.own.is(k.simulated) {
		if k.d.pin != "" {
			k.pin = k.d.pin
		}
		return k.d.own.card, true, nil
	}
	root, err := simulatorBeside(k.d.operatorPath())
	if err != nil {
		return nil, false, usage("reading the simulator's root", err)
	}
	c, err = card.OpenSimulated(k.simulated, card.Options{Create: !exists, PIN: k.pin, Root: root})
	if err != nil {
		return nil, false, usage("opening the simulated card", err)
	}
	return c, false, nil
}

var errHalfRenewed = errors.New("the card's keys are newer than its certificates: another operator must finish the renewal")

// operatorCard signs in with the authentication key of a simulated card. A
// wrong PIN is a *card.PINError.
func operatorCard(path, pin string) (*identity, *ownCard, error) {
	c, err := card.OpenSimulated(path, card.Options{})
	if err != nil {
		return nil, nil, err
	}
	id, err := identityOn(c, pin)
	if err != nil {
		return nil, nil, errors.Join(err, c.Close())
	}
	return id, &ownCard{path: path, card: c}, nil
}

func identityOn(c card.Card, pin string) (*identity, error) {
	der, err := c.Certificate(card.SlotAuthentication)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if err := c.VerifyPIN(pin); err != nil {
		return nil, err
	}
	key, err := c.Signer(card.SlotAuthentication, pin)
	if err != nil {
		return nil, err
	}
	if !belongs(leaf, key) {
		return nil, errHalfRenewed
	}
	return &identity{leaf: leaf, key: key}, nil
}
