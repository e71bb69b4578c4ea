package server_test

import (
	"encoding/pem"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"cardinal/issuance/api"
	"cardinal/issuance/issuancetest"
)

// wantRule demands a problem document with this status and rule.
func wantRule(t *testing.T, err error, status int, rule string) *api.Problem {
	t.Helper()
	var p *api.Problem
	if !errors.As(err, &p) {
		t.Errorf("got %v, want a refusal by %s", err, rule)
		return &api.Problem{}
	}
	if p.Status != status || p.Rule != rule {
		t.Errorf("refused with %d %s (%s), want %d %s", p.Status, p.Rule, p.Detail, status, rule)
	}
	if rule != "operator.certificate" && (!strings.HasPrefix(p.Instance, "urn:cardinal:request:") || p.Type != "urn:cardinal:rule:"+rule) {
		t.Errorf("problem document %+v", p)
	}
	return p
}

// refusal is one thing that must not be: what is tried, and what refuses it.
type refusal struct {
	name   string
	status int
	rule   string
	try    func() error
}

// refuse tries a table in order; nothing of it may leave a trace.
func (o *office) refuse(t *testing.T, table []refusal) {
	t.Helper()
	for _, r := range table {
		before, err := o.Ledger.Head(t.Context())
		must(t, err)
		t.Run(r.name, func(t *testing.T) { wantRule(t, r.try(), r.status, r.rule) })
		after, err := o.Ledger.Head(t.Context())
		must(t, err)
		if after.Position != before.Position {
			t.Errorf("%s: refused, and the journal moved from %d to %d", r.name, before.Position, after.Position)
		}
	}
}

// failed drops an answer and keeps the error.
func failed[T any](_ T, err error) error { return err }

func TestPairsAreRefusedByRule(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	o, ctx := open(t), t.Context()
	waiting, other := o.Approved(o.Person("Alex", "Example")), o.Approved(o.Person("Bo", "Example"))
	taken, keys := o.asking("request-taken")
	issued, err := o.manager.Issue(ctx, other.ID, taken)
	must(t, err)
	try := func(change func(*api.PairRequest)) func() error {
		return func() error {
			ask, _ := o.asking("request-refused")
			change(&ask)
			return failed(o.manager.Issue(ctx, waiting.ID, ask))
		}
	}
	o.refuse(t, []refusal{
		{"request id too short", 400, "request.id", try(func(p *api.PairRequest) { p.RequestID = "short" })},
		{"no PEM", 400, "request.body", try(func(p *api.PairRequest) { p.SignatureCSR = "nonsense" })},
		{"PEM of something else", 400, "request.body", try(func(p *api.PairRequest) {
			p.SignatureCSR = strings.ReplaceAll(p.SignatureCSR, "CERTIFICATE REQUEST", "CERTIFICATE")
		})},
		{"signature broken", 422, "csr-proof", try(func(p *api.PairRequest) { p.AuthenticationCSR = broken(t, p.AuthenticationCSR) })},
		{"one key for both", 422, "pair.same-key", try(func(p *api.PairRequest) { p.SignatureCSR = p.AuthenticationCSR })},
		{"key of another card", 422, "key.seen-on-another-card", try(func(p *api.PairRequest) { p.SignatureCSR = taken.SignatureCSR })},
		{"RSA of 1024 bits", 422, "rsa-size", try(func(p *api.PairRequest) { p.SignatureCSR = file(t, "rsa-1024.csr") })},
		{"RSA with exponent 3", 422, "rsa-exponent-small", try(func(p *api.PairRequest) { p.SignatureCSR = file(t, "rsa-e3.csr") })},
		{"a curve no card has", 422, "key-kind", try(func(p *api.PairRequest) { p.SignatureCSR = file(t, "p521.csr") })},
		{"request id of another case", 409, "request.other-content", try(func(p *api.PairRequest) { p.RequestID = "request-taken" })},
		{"other requests under the same id", 409, "request.other-content", func() error {
			ask, _ := o.asking("request-taken")
			return failed(o.manager.Issue(ctx, other.ID, ask))
		}},
		{"case already issued", 409, "case.state", func() error {
			ask, _ := o.asking("request-new")
			return failed(o.manager.Issue(ctx, other.ID, ask))
		}},
		{"no such case", 404, "case.unknown", func() error {
			ask, _ := o.asking("request-new")
			return failed(o.manager.Issue(ctx, "R0000000000", ask))
		}},
		{"renewed before it was handed over", 409, "card.state", func() error {
			return failed(o.manager.Renew(ctx, issued.Card, o.renewal("request-renew", issued.Card, keys)))
		}},
	})
	_, err = o.manager.HandOver(ctx, issued.Card, api.Reason{})
	must(t, err)
	o.refuseRenewals(t, issued.Card, taken, keys)
}

// refuseRenewals tries renewals by an agent of an active card.
func (o *office) refuseRenewals(t *testing.T, card string, taken api.PairRequest, keys issuancetest.Keys) {
	ctx := t.Context()
	renew := func(change func(*api.PairRequest)) func() error {
		return func() error {
			ask := o.renewal("request-renew", card, keys)
			change(&ask)
			return failed(o.manager.Renew(ctx, card, ask))
		}
	}
	o.refuse(t, []refusal{
		{"no proof", 422, "renew.proof", renew(func(p *api.PairRequest) { p.Proof = nil })},
		{"proof by the wrong key", 422, "renew.proof", renew(func(p *api.PairRequest) {
			*p = o.renewal("request-renew", card, issuancetest.Keys{Authentication: keys.Signature})
		})},
		{"proof for another request", 422, "renew.proof", renew(func(p *api.PairRequest) { p.RequestID = "request-other" })},
		{"proof too old", 422, "renew.proof", renew(func(p *api.PairRequest) { p.Proof.SignedAt = p.Proof.SignedAt.Add(-2 * time.Hour) })},
		{"the keys it has", 422, "key.used-before", renew(func(p *api.PairRequest) {
			p.AuthenticationCSR, p.SignatureCSR = taken.AuthenticationCSR, taken.SignatureCSR
		})},
	})
}

// renewal asks with fresh keys and a proof by the card's present one.
func (o *office) renewal(id, card string, keys issuancetest.Keys) api.PairRequest {
	o.Helper()
	ask, _ := o.asking(id)
	var err error
	ask.Proof, err = api.NewHolderProof(keys.Authentication, card, id, o.Now())
	must(o, err)
	return ask
}

// broken flips a bit in the signature of a PEM request.
func broken(t *testing.T, text string) string {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	block.Bytes[len(block.Bytes)-1] ^= 1
	return string(pem.EncodeToMemory(block))
}

func file(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	must(t, err)
	return string(text)
}
