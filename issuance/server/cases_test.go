package server_test

import (
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/directory"
	"cardinal/directory/register"
	"cardinal/internal/ledger"
	"cardinal/issuance/api"
	"cardinal/issuance/issuancetest"
)

func TestPersonsAreRefusedByRule(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	o, ctx := open(t), t.Context()
	known := o.newcomer("Zoë", "O’Brien-Example")
	_, err := o.manager.AddPerson(ctx, known)
	must(t, err)
	add := func(change func(*api.NewPerson)) func() error {
		return func() error {
			n := o.newcomer("Alex", "Example")
			change(&n)
			return failed(o.manager.AddPerson(ctx, n))
		}
	}
	documents := func(d ...api.Document) func() error {
		return add(func(n *api.NewPerson) { n.Evidence.Documents = d })
	}
	passport := api.Document{Kind: "passport", Number: "1", Photo: true}
	bill, birth := api.Document{Kind: "utility-bill", Address: true}, api.Document{Kind: "birth-certificate"}
	o.refuse(t, []refusal{
		{"no family name", 400, "input.field", add(func(n *api.NewPerson) { n.Family = "  " })},
		{"control character", 400, "input.field", add(func(n *api.NewPerson) { n.Given = "A\u0007" })},
		{"birth in the future", 400, "input.field", add(func(n *api.NewPerson) { n.Birth = "2999-01-01" })},
		{"birth no date", 400, "input.field", add(func(n *api.NewPerson) { n.Birth = "1980-02-30" })},
		{"mail with a name", 400, "input.field", add(func(n *api.NewPerson) { n.Mail = "A <a@b.example>" })},
		{"photo no picture", 400, "photo.form", add(func(n *api.NewPerson) { n.Photo = []byte("GIF89a") })},
		{"no photo", 422, "photo.missing", add(func(n *api.NewPerson) { n.Photo = nil })},
		{"two documents", 422, "evidence.three-documents", documents(passport, bill)},
		{"no photo among them", 422, "evidence.photo", documents(api.Document{Kind: "deed-poll", Number: "1"}, bill, birth)},
		{"no address among them", 422, "evidence.address", documents(passport, birth, api.Document{Kind: "deed-poll"})},
		{"no number recorded", 422, "evidence.number", documents(api.Document{Kind: "passport", Photo: true}, bill, birth)},
		{"unknown kind", 400, "evidence.kind", documents(passport, bill, api.Document{Kind: "library-card"})},
		{"a bill with a face", 422, "evidence.cannot-prove", documents(passport, api.Document{Kind: "utility-bill", Photo: true}, birth)},
		{"the same twice", 422, "evidence.repeated", documents(passport, passport, bill)},
		{"a passport that ended", 422, "evidence.expired", documents(api.Document{Kind: "passport", Number: "1", Photo: true, Expires: "2020-01-01"}, bill, birth)},
		{"licence for face and address", 422, "evidence.address", documents(api.Document{Kind: "driving-licence", Number: "1", Photo: true, Address: true}, birth, api.Document{Kind: "deed-poll"})},
		{"the same person", 409, "person.duplicate", add(func(n *api.NewPerson) { n.Given, n.Family = "ZOE", "o'brien example" })},
		{"somebody's passport", 409, "evidence.number-of-another", add(func(n *api.NewPerson) {
			n.Evidence.Documents[0].Number = " " + known.Evidence.Documents[0].Number[:3] + "-" + known.Evidence.Documents[0].Number[3:]
		})},
		{"unknown person", 404, "person.unknown", func() error { return failed(o.manager.Person(ctx, "999999999999")) }},
	})
}

func TestNamesakesAreRegisteredWhenTheyWereLookedAt(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	o, ctx := open(t), t.Context()
	first, err := o.manager.AddPerson(ctx, o.newcomer("Alex", "Example"))
	must(t, err)
	twin := o.newcomer("Alex", "Example")
	for i := range twin.Evidence.Documents {
		if twin.Evidence.Documents[i].Number != "" {
			twin.Evidence.Documents[i].Number += "X"
		}
	}
	p := wantRule(t, failed(o.manager.AddPerson(ctx, twin)), 409, "person.duplicate")
	if api.ClassOf(p) != api.ClassRefused {
		t.Errorf("class %d", api.ClassOf(p))
	}
	twin.DistinctFrom = []string{first.UUID}
	second, err := o.manager.AddPerson(ctx, twin)
	must(t, err)
	shown, err := o.manager.Person(ctx, second.UUID)
	must(t, err)
	if len(shown.Documents) != 3 || shown.Documents[0].Number == twin.Evidence.Documents[0].Number || shown.Registered.By != "bootstrap-manager" {
		t.Errorf("shown as %+v", shown)
	}
	page, err := o.manager.Persons(ctx, api.PersonFilter{Family: "EXAMPLE", Limit: 1})
	must(t, err)
	rest, err := o.manager.Persons(ctx, api.PersonFilter{Family: "EXAMPLE", After: page.Next})
	must(t, err)
	if len(page.Persons) != 1 || page.Next == "" || len(rest.Persons) != 1 || rest.Next != "" {
		t.Errorf("pages %+v and %+v", page, rest)
	}
}

func TestCasesAndCardsGoOneWay(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	o, ctx := open(t), t.Context()
	uuid := o.Person("Alex", "Example")
	opened, err := o.manager.RequestCase(ctx, api.NewCase{Person: string(uuid)})
	must(t, err)
	second := func() error { return failed(o.manager.RequestCase(ctx, api.NewCase{Person: string(uuid)})) }
	approve := func() error { return failed(o.sponsor.ApproveCase(ctx, opened.Case, api.Reason{})) }
	o.refuse(t, []refusal{{"a second case", 409, "case.already-open", second}})
	must(t, approve())
	o.refuse(t, []refusal{{"approved twice", 409, "case.state", approve}})
	ask, _ := o.asking("request-1")
	made, err := o.manager.Issue(ctx, opened.Case, ask)
	must(t, err)
	verb := func(v func(string) error) func() error { return func() error { return v(made.Card) } }
	hand := verb(func(c string) error { return failed(o.manager.HandOver(ctx, c, api.Reason{})) })
	suspend := verb(func(c string) error { return failed(o.manager.Suspend(ctx, c, api.Reason{})) })
	resume := verb(func(c string) error { return failed(o.manager.Resume(ctx, c, api.Reason{})) })
	cancel := verb(func(c string) error { return failed(o.manager.Cancel(ctx, c, api.CancelCard{Reason: "lost"})) })
	must(t, hand())
	tomorrow := o.Now().Add(24 * time.Hour)
	o.refuse(t, []refusal{
		{"a case beside a card", 409, "case.card-exists", second},
		{"refused after it was issued", 409, "case.state", func() error { return failed(o.sponsor.RefuseCase(ctx, opened.Case, api.Reason{})) }},
		{"handed over twice", 409, "card.state", hand},
		{"resumed while active", 409, "card.state", resume},
		{"no such reason", 400, "cancel-reason", func() error { return failed(o.manager.Cancel(ctx, made.Card, api.CancelCard{Reason: "bored"})) }},
		{"since tomorrow", 400, "cancel.since", func() error {
			return failed(o.manager.Cancel(ctx, made.Card, api.CancelCard{Reason: "compromised", Since: &tomorrow, SignaturesFall: true}))
		}},
		{"no such card", 404, "card.unknown", func() error { return failed(o.manager.Card(ctx, "C0000000000")) }},
		{"no such certificate", 404, "certificate.unknown", func() error { return failed(o.manager.Certificates(ctx, "0123456789")) }},
	})
	must(t, suspend())
	o.refuse(t, []refusal{{"suspended twice", 409, "card.state", suspend}})
	must(t, cancel())
	o.refuse(t, []refusal{
		{"cancelled twice", 409, "card.state", cancel},
		{"resumed after it was cancelled", 409, "card.state", resume},
		{"suspended after it was cancelled", 409, "card.state", suspend},
	})
	shown, err := o.manager.Certificates(ctx, made.Serials.Authentication)
	must(t, err)
	if got := shown.Certificates[0]; got.Issuer != "authentication" || got.Status.State != "revoked" || got.Status.Reason != "keyCompromise" || got.Card != made.Card {
		t.Errorf("certificate %+v", got)
	}
}

func TestPeopleFromAnImportNeedEvidenceFirst(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	o, ctx := open(t), t.Context()
	o.Person("Alex", "Example") // makes ou=People
	const uuid = "900000000017"
	o.imported(uuid)
	shown, err := o.manager.Person(ctx, uuid)
	must(t, err)
	if shown.OnRecord || shown.Family != "Imported" || shown.Status != "active" {
		t.Errorf("imported person %+v", shown)
	}
	o.refuse(t, []refusal{
		{"no evidence", 422, "person.not-on-record", func() error { return failed(o.manager.RequestCase(ctx, api.NewCase{Person: uuid})) }},
		{"birth alone", 422, "evidence.three-documents", func() error {
			return failed(o.manager.UpdatePerson(ctx, uuid, api.PersonChange{Birth: text("1970-01-01")}))
		}},
	})
	n := o.newcomer("Ida", "Imported")
	must(t, failed(o.manager.UpdatePerson(ctx, uuid, api.PersonChange{Birth: &n.Birth, Evidence: &n.Evidence, Photo: n.Photo})))
	must(t, failed(o.manager.RequestCase(ctx, api.NewCase{Person: uuid})))
	o.refuse(t, []refusal{{"a new name without proof", 422, "person.name-change-evidence", func() error {
		return failed(o.manager.UpdatePerson(ctx, uuid, api.PersonChange{Family: text("Married")}))
	}}})
	deed := &api.Evidence{Documents: []api.Document{{Kind: "marriage-certificate", Number: "M1"}}}
	must(t, failed(o.manager.UpdatePerson(ctx, uuid, api.PersonChange{Family: text("Married"), Evidence: deed})))
	if e := o.entry("uid=" + uuid + ",ou=People,o=nhs"); e.First("sn") != "Married" || e.First("cn") != "Married Ida" {
		t.Errorf("entry after the change of name: %v", e.Attributes)
	}
}

func (o *office) imported(uuid string) {
	o.Helper()
	dn, err := directory.ParseDN("uid=" + uuid + ",ou=People,o=nhs")
	must(o, err)
	e := &directory.Entry{DN: dn}
	e.PutString("objectClass", "top", "person", "organizationalPerson", "inetOrgPerson", "nhsPerson")
	for name, value := range map[string]string{"uid": uuid, "cn": "Imported Ida", "sn": "Imported", "givenName": "Ida", "nhsPersonStatus": "1"} {
		e.PutString(name, value)
	}
	_, err = o.Ledger.Write(o.Context(), func(tx *ledger.Tx) error {
		return o.Directory.Add(tx, register.Author{DN: "cn=import", Issuance: true}, e)
	})
	must(o, err)
}

func (o *office) entry(name string) (e *directory.Entry) {
	o.Helper()
	dn, err := directory.ParseDN(name)
	must(o, err)
	must(o, o.Ledger.Read(o.Context(), func(tx *ledger.Tx) error {
		e, err = o.Directory.Get(tx, dn)
		return err
	}))
	return e
}

func TestClosingAPersonEndsEverything(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	o, ctx := open(t), t.Context()
	uuid, card, _ := o.Holder("Alex", ordinaryJob)
	must(t, failed(o.manager.UpdatePerson(ctx, string(uuid), api.PersonChange{Status: text("closed"), Reason: "left"})))
	shown, err := o.manager.Card(ctx, card)
	must(t, err)
	if shown.State != api.CardCancelled || shown.Reason != "left" {
		t.Errorf("card %+v", shown)
	}
	o.wantStatus(shown.Serials, certs.StateRevoked)
	held, err := o.manager.Positions(ctx, string(uuid))
	must(t, err)
	if len(held.Positions) != 1 || held.Positions[0].Active {
		t.Errorf("positions %+v", held)
	}
	if e := o.entry("uid=" + string(uuid) + ",ou=People,o=nhs"); e.First("nhsPersonStatus") != "0" || len(e.Get("userCertificate;binary")) != 2 {
		t.Errorf("entry %v", e.Attributes)
	}
	o.refuse(t, []refusal{
		{"a case", 422, "person.closed", func() error { return failed(o.manager.RequestCase(ctx, api.NewCase{Person: string(uuid)})) }},
		{"a position", 422, "person.closed", func() error { return failed(o.manager.AddPosition(ctx, string(uuid), position(ordinaryJob))) }},
	})
	must(t, failed(o.manager.UpdatePerson(ctx, string(uuid), api.PersonChange{Status: text("active")})))
	must(t, failed(o.manager.RequestCase(ctx, api.NewCase{Person: string(uuid)})))
}

func TestOneOfficialCannotChangeWhoACardIsFor(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	o, ctx := open(t), t.Context()
	uuid := string(o.Person("Alex", "Example"))
	ready := o.Approved(certs.UUID(uuid))
	rename := func(family, proof string) {
		deed := &api.Evidence{Documents: []api.Document{{Kind: "deed-poll", Number: proof}}}
		must(t, failed(o.manager.UpdatePerson(ctx, uuid, api.PersonChange{Family: &family, Evidence: deed})))
	}
	rename("Other", "D1")
	ask, keys := o.asking("request-1")
	o.refuse(t, []refusal{{"issued under another name than was approved", 409, "case.person-changed", func() error {
		return failed(o.manager.Issue(ctx, ready.ID, ask))
	}}})
	must(t, failed(o.sponsor.ApproveCase(ctx, ready.ID, api.Reason{})))
	made, err := o.manager.Issue(ctx, ready.ID, ask)
	must(t, err)
	must(t, failed(o.manager.HandOver(ctx, made.Card, api.Reason{})))
	must(t, failed(o.manager.UpdatePerson(ctx, uuid, api.PersonChange{Mail: text("a@x.example")})))
	must(t, failed(o.manager.Renew(ctx, made.Card, o.renewal("request-2", made.Card, keys))))

	must(t, failed(o.manager.UpdatePerson(ctx, uuid, api.PersonChange{UPN: text("a@ad.example")})))
	rename("Third", "D2")
	wantRule(t, failed(o.manager.Renew(ctx, made.Card, o.renewal("request-3", made.Card, keys))), 422, "renew.proof") // the old key
	fresh, _ := o.asking("request-4")
	holder, err := o.manager.Card(ctx, made.Card)
	must(t, err)
	if holder.Pair != 2 {
		t.Errorf("card %+v", holder)
	}
	bo := o.newcomer("Bo", "Example")
	bo.UPN = "A@AD.example"
	o.refuse(t, []refusal{
		{"somebody's principal name", 409, "person.address-of-another", func() error { return failed(o.manager.AddPerson(ctx, bo)) }},
		{"issued again", 409, "case.state", func() error { return failed(o.manager.Issue(ctx, ready.ID, fresh)) }},
	})
}

func TestRenamedHoldersAreNotRenewed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	o, ctx := open(t), t.Context()
	uuid, card, hand := o.Holder("Alex", ordinaryJob)
	deed := &api.Evidence{Documents: []api.Document{{Kind: "marriage-certificate", Number: "M1"}}}
	must(t, failed(o.manager.UpdatePerson(ctx, string(uuid), api.PersonChange{Family: text("Married"), Evidence: deed})))
	ask := o.renewal("request-1", card, issuancetest.Keys{Authentication: hand.Key})
	o.refuse(t, []refusal{
		{"renewed by an agent", 422, "renew.name-changed", func() error { return failed(o.manager.Renew(ctx, card, ask)) }},
		{"own mail", 403, "role", func() error {
			return failed(o.as(hand).UpdatePerson(ctx, string(uuid), api.PersonChange{Mail: text("chief@x.example")}))
		}},
	})
	replaced, err := o.manager.Replace(ctx, card, api.CancelCard{})
	must(t, err)
	must(t, failed(o.sponsor.ApproveCase(ctx, replaced.Case, api.Reason{})))
	must(t, o.issue(o.manager, replaced.Case))
}
