package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"

	"cardinal/issuance/api"
	"cardinal/issuance/card"
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

// enrolCard has a simulated card make its keys, asks for its pair, and writes
// the certificates to the card. What is asked is kept beside the card until
// the answer has arrived, so that the same request id asks the same again.
func (k *keysFrom) enrolCard(ctx context.Context, renewing string, ask func(*api.PairRequest) (*api.Issued, error)) (issued *api.Issued, err error) {
	root, err := simulatorBeside(k.d.operatorPath())
	if err != nil {
		return nil, usage("reading the simulator's root", err)
	}
	c, err := card.OpenSimulated(k.simulated, card.Options{Create: renewing == "", PIN: k.pin, Root: root})
	if err != nil {
		return nil, usage("opening the simulated card", err)
	}
	defer closeInto(&err, c)
	p, err := k.pending(c, renewing)
	if err != nil {
		return nil, wrong("simulated card", err)
	}
	if issued, err = ask(p.request()); err != nil {
		return nil, err
	}
	authentication, err := certificateDER(issued.Certificates.Authentication)
	if err != nil {
		return nil, err
	}
	signature, err := certificateDER(issued.Certificates.Signature)
	if err != nil {
		return nil, err
	}
	if err := card.Complete(c, p.Enrolment, authentication, signature); err != nil {
		return nil, err
	}
	return issued, os.Remove(k.simulated + pendingTail)
}

const pendingTail = ".pending"

// pendingPair is a request whose answer has not arrived.
type pendingPair struct {
	RequestID string           `json:"request_id"`
	Enrolment card.Enrolment   `json:"enrolment"`
	Proof     *api.HolderProof `json:"proof,omitempty"`
}

// pending reads the request kept beside the card when it has this id, or makes
// one: for a renewal the present key first proves that the card lies here.
func (k *keysFrom) pending(c card.Card, renewing string) (*pendingPair, error) {
	p := &pendingPair{}
	if data, err := os.ReadFile(k.simulated + pendingTail); err == nil && json.Unmarshal(data, p) == nil && p.RequestID == k.requestID {
		return p, nil
	}
	p = &pendingPair{RequestID: k.requestID}
	if renewing != "" {
		key, err := c.Signer(card.SlotAuthentication, k.pin)
		if err != nil {
			return nil, err
		}
		if p.Proof, err = api.NewHolderProof(key, renewing, k.requestID, k.d.a.now()); err != nil {
			return nil, err
		}
	}
	var err error
	if p.Enrolment, err = card.Prepare(c, k.pin, card.P256); err != nil {
		return nil, err
	}
	data, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	return p, os.WriteFile(k.simulated+pendingTail, data, 0o600)
}

// request is the pending pair as the API takes it.
func (p *pendingPair) request() *api.PairRequest {
	r := &api.PairRequest{RequestID: p.RequestID, Proof: p.Proof,
		AuthenticationCSR: pemText("CERTIFICATE REQUEST", p.Enrolment.Authentication.CSR),
		SignatureCSR:      pemText("CERTIFICATE REQUEST", p.Enrolment.Signature.CSR)}
	auth, sign := p.Enrolment.Authentication.Attestation, p.Enrolment.Signature.Attestation
	if len(auth) > 1 && len(sign) > 1 {
		r.Attestation = &api.Attestation{Intermediate: pemText("CERTIFICATE", auth[1]),
			Authentication: pemText("CERTIFICATE", auth[0]), Signature: pemText("CERTIFICATE", sign[0])}
	}
	return r
}

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func certificateDER(text string) ([]byte, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errNoCertificate
	}
	return block.Bytes, nil
}

// operatorCard signs in with the authentication key of a simulated card. The
// card stays open until the process ends: the key is used in the handshake.
func operatorCard(path, pin string) (*identity, error) {
	c, err := card.OpenSimulated(path, card.Options{})
	if err != nil {
		return nil, err
	}
	der, err := c.Certificate(card.SlotAuthentication)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	key, err := c.Signer(card.SlotAuthentication, pin)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &identity{leaf: leaf, key: key}, nil
}
