package server

import (
	"encoding/hex"
	"encoding/pem"
	"slices"
	"time"

	"cardinal/certs"
	"cardinal/issuance"
	"cardinal/issuance/api"
	"cardinal/policies"
)

// each turns every element; the result is never nil, so that it is a list in
// JSON and not null.
func each[A, B any](all []A, turn func(A) B) []B {
	out := make([]B, 0, len(all))
	for _, one := range all {
		out = append(out, turn(one))
	}
	return out
}

func documentsIn(e api.Evidence) []issuance.Document {
	return each(e.Documents, func(d api.Document) issuance.Document { return issuance.Document(d) })
}

func personOut(p *issuance.Person) api.Person {
	out := api.Person{UUID: string(p.UUID), Title: p.Title, Given: p.Given, Middle: p.Middle, Family: p.Family,
		Birth: p.Birth, Mail: p.Mail, Phone: p.Phone, UPN: p.UPN, Status: p.Status, OnRecord: p.OnRecord}
	if p.OnRecord {
		out.Photo = hex.EncodeToString(p.Photo[:])
	}
	for _, d := range p.Documents {
		out.Documents = append(out.Documents, api.Document(d))
	}
	if p.Registered != nil {
		out.Registered = decisionOut(*p.Registered)
	}
	return out
}

func positionOut(p issuance.Position) api.Position {
	return api.Position{ID: p.ID, OrgPerson: p.OrgPerson, Person: string(p.Person), Organisation: p.Organisation,
		OrganisationName: p.OrganisationName, JobRoleCode: p.JobRoleCode, JobRole: p.JobRole, Activities: p.Activities,
		AreasOfWork: p.AreasOfWork, Workgroups: p.Workgroups, Opens: p.Opens, Closes: p.Closes, Active: p.Active,
		Roles: each(p.Roles, roleOut)}
}

func roleOut(r policies.Role) string { return string(r) }

func decisionOut(d issuance.Decision) *api.Decision {
	return &api.Decision{By: d.By, Role: string(d.Role), At: d.At, Policies: hex.EncodeToString(d.Policies[:]), Reason: d.Reason}
}

func caseOut(c *issuance.Case) api.Case {
	out := api.Case{ID: c.ID, Person: string(c.Person), Kind: c.Kind, State: c.State, Card: c.Card, Replaces: c.Replaces}
	for _, d := range c.Decisions {
		switch d.To {
		case issuance.CaseRequested:
			out.Requested = *decisionOut(d)
		case issuance.CaseApproved:
			out.Approved = decisionOut(d)
		case issuance.CaseRefused:
			out.Refused = decisionOut(d)
		case issuance.CaseIssued:
			out.Issued = decisionOut(d)
		case issuance.CaseHandedOver:
			out.HandedOver = decisionOut(d)
		case issuance.CaseWithdrawn:
			out.Withdrawn = decisionOut(d)
		}
	}
	return out
}

func pairIn(p *api.PairRequest) (*issuance.PairRequest, error) {
	r := &issuance.PairRequest{RequestID: p.RequestID}
	blocks := []struct {
		field, kind, text string
		into              *[]byte
	}{
		{"authentication_csr", "CERTIFICATE REQUEST", p.AuthenticationCSR, &r.AuthenticationCSR},
		{"signature_csr", "CERTIFICATE REQUEST", p.SignatureCSR, &r.SignatureCSR},
	}
	if a := p.Attestation; a != nil {
		r.Attestation = &issuance.Attestation{}
		blocks = slices.Concat(blocks, []struct {
			field, kind, text string
			into              *[]byte
		}{
			{"attestation.intermediate", "CERTIFICATE", a.Intermediate, &r.Attestation.Intermediate},
			{"attestation.authentication", "CERTIFICATE", a.Authentication, &r.Attestation.Authentication},
			{"attestation.signature", "CERTIFICATE", a.Signature, &r.Attestation.Signature},
		})
	}
	for _, b := range blocks {
		der, err := onePEM(b.field, b.kind, b.text)
		if err != nil {
			return nil, err
		}
		*b.into = der
	}
	if p.Proof != nil {
		r.Proof = &issuance.HolderProof{SignedAt: p.Proof.SignedAt, Signature: p.Proof.Signature}
	}
	return r, nil
}

func issuedOut(p *issuance.Pair, w api.Written) api.Issued {
	return api.Issued{Card: p.Card, Written: w,
		Serials:      api.Serials{Authentication: p.Authentication.Serial.Hex(), Signature: p.Signature.Serial.Hex()},
		Certificates: api.Certificates{Authentication: pemOf(p.Authentication.DER), Signature: pemOf(p.Signature.DER)}}
}

func pemOf(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func cardOut(c *issuance.Card) api.Card {
	out := api.Card{ID: c.ID, Person: string(c.Person), Case: c.Case, State: c.State, Reason: c.Reason,
		Replaces: c.Replaces, ReplacedBy: c.ReplacedBy, Pair: uint32(c.Pair),
		Serials:   api.Serials{Authentication: c.Authentication.Serial.Hex(), Signature: c.Signature.Serial.Hex()},
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, RenewFrom: c.RenewFrom}
	for _, d := range c.Events {
		out.Events = append(out.Events, api.CardEvent{Verb: d.Verb, From: d.From, To: d.To, Decision: *decisionOut(d)})
	}
	return out
}

func cancellationIn(c *api.CancelCard) issuance.Cancellation {
	out := issuance.Cancellation{Reason: c.Reason, Note: c.Note, PasscodeKnown: c.PasscodeKnown, SignaturesFall: c.SignaturesFall}
	if c.Since != nil {
		out.Since = *c.Since
	}
	return out
}

// certificateOut knows the names of the issuers.
func certificateOut(issuers []issuance.Issuer) func(issuance.Certificate) api.Certificate {
	return func(c issuance.Certificate) api.Certificate {
		out := api.Certificate{Issuer: c.Issuer.String(), Serial: c.Serial.Hex(), Profile: c.Profile, Holder: c.Holder,
			Card: c.Card, Shard: int(c.Shard), NotBefore: c.NotBefore, NotAfter: c.NotAfter, DER: c.DER, Status: statusOut(c.Status)}
		if at := slices.IndexFunc(issuers, func(i issuance.Issuer) bool { return i.ID == c.Issuer }); at >= 0 {
			out.Issuer = issuers[at].Name
		}
		return out
	}
}

func statusOut(s certs.Status) api.CertificateStatus {
	out := api.CertificateStatus{State: s.State.String(), At: present(s.At), Since: present(s.Invalidity)}
	if s.State != certs.StateGood {
		out.Reason = s.Reason.String()
	}
	return out
}

func present(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func issuerOut(i issuance.Issuer) api.Issuer {
	out := api.Issuer{Name: i.Name, ID: i.ID.String(), Subject: i.Certificate.Subject.String(), Shards: int(i.Shards),
		NotBefore: i.Certificate.NotBefore, NotAfter: i.Certificate.NotAfter, DER: i.DER, How: i.How}
	if !i.Starts.IsZero() {
		out.Starts = &i.Starts
	}
	if !i.Stopped.IsZero() {
		out.Stopped = &i.Stopped
	}
	if serial, err := certs.SerialFromBig(i.Certificate.SerialNumber); err == nil {
		out.Serial = serial.Hex()
	}
	return out
}

func listOut(l issuance.List) api.List {
	return api.List{Issuer: l.Issuer, List: l.Name().String(), Shard: int(l.Shard), Number: l.Number, Base: l.Base,
		ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate, Size: l.Size, Packed: l.PackedSize, SHA256: hex.EncodeToString(l.Content[:])}
}

func selfOut(s *issuance.Self) api.Self {
	out := api.Self{Identity: s.Identity, Kind: "card", Roles: each(s.Roles, roleOut),
		Activities: each(s.Activities, func(a policies.Activity) string { return string(a) })}
	if s.Bootstrap {
		out.Kind = "bootstrap"
	}
	return out
}

func operatorOut(o issuance.Bootstrap) api.Operator {
	return api.Operator{Name: o.Name, Role: string(o.Role), Serial: o.Certificate.Serial.Hex(),
		Since: o.Since, Until: o.Until, Ended: present(o.Ended), Why: o.Why}
}

func healthOut(h *issuance.Health) api.Health {
	return api.Health{Epoch: uint64(h.Head.Epoch), Position: uint64(h.Head.Position), Time: h.Head.Time,
		Quarantine: h.Head.Quarantine, Policies: hex.EncodeToString(h.Policies[:]),
		Alarms: each(h.Alarms, func(a issuance.Alarm) api.Alarm { return api.Alarm{Name: a.Name, Ends: a.Until, Detail: a.Detail} })}
}
