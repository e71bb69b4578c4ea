package server_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"cardinal/issuance/api"
)

// send is a request no client of ours would make.
type send struct {
	name, method, path, kind, body string
	header                         map[string]string
	status                         int
	rule, field                    string
}

func TestRequestsAreReadStrictly(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	o := open(t)
	const cases, kind = "/v1/cases", "application/json"
	uuid := `"` + string(o.Person("Alex", "Example")) + `"`
	for _, s := range []send{
		{name: "unknown member", body: `{"person":` + uuid + `,"persn":1}`, status: 400, rule: "request.body", field: "persn"},
		{name: "member in another case", body: `{"Person":` + uuid + `}`, status: 400, rule: "request.body", field: "Person"},
		{name: "member twice", body: `{"person":` + uuid + `,"person":` + uuid + `}`, status: 400, rule: "request.body", field: "person"},
		{name: "null", body: `{"person":null}`, status: 400, rule: "request.body", field: "person"},
		{name: "wrong type", body: `{"person":12}`, status: 400, rule: "request.body", field: "person"},
		{name: "not a number", body: `{"person":"12"}`, status: 400, rule: "request.body", field: "person"},
		{name: "something behind", body: `{"person":` + uuid + `} {}`, status: 400, rule: "request.body"},
		{name: "cut short", body: `{"person":`, status: 400, rule: "request.body"},
		{name: "no body", body: ``, status: 400, rule: "request.body"},
		{name: "list", body: `[]`, status: 400, rule: "request.body"},
		{name: "deep", body: strings.Repeat("[", 100), status: 400, rule: "request.body"},
		{name: "inner field", path: "/v1/persons", body: `{"evidence":{"documents":[{"kind":"passport"},{"knd":1}]}}`, status: 400, rule: "request.body", field: "evidence.documents[1].knd"},
		{name: "too large", path: "/v1/persons", body: `{"given":"` + strings.Repeat("a", 2<<20) + `"}`, status: 413, rule: "request.size"},
		{name: "form", kind: "application/x-www-form-urlencoded", body: `person=1`, status: 415, rule: "request.content-type"},
		{name: "latin", kind: kind + "; charset=latin1", body: `{}`, status: 415, rule: "request.content-type"},
		{name: "compressed", body: `{}`, header: map[string]string{"Content-Encoding": "gzip"}, status: 415, rule: "request.content-type"},
		{name: "foreign page", body: `{}`, header: map[string]string{"Origin": "https://evil.example"}, status: 403, rule: "request.origin"},
		{name: "foreign fetch", body: `{}`, header: map[string]string{"Sec-Fetch-Site": "cross-site"}, status: 403, rule: "request.origin"},
		{name: "foreign read", method: "GET", header: map[string]string{"Origin": "null"}, status: 403, rule: "request.origin"},
		{name: "wrong method", method: "DELETE", status: 405, rule: "request.method"},
		{name: "no such path", method: "GET", path: "/v2/cases", status: 404, rule: "request.path"},
		{name: "unclean path", method: "GET", path: "/v1//cases", status: 404, rule: "request.path"},
		{name: "unknown query", method: "GET", path: cases + "?persn=1", status: 400, rule: "request.query", field: "persn"},
		{name: "bad limit", method: "GET", path: cases + "?limit=many", status: 400, rule: "request.query", field: "limit"},
		{name: "limit too large", method: "GET", path: cases + "?limit=1000", status: 400, rule: "input.field", field: "limit"},
		{name: "bad cursor", method: "GET", path: cases + "?after=x", status: 400, rule: "input.field", field: "after"},
		{name: "bad uuid", method: "GET", path: "/v1/persons/12", status: 400, rule: "request.body", field: "uuid"},
		{name: "bad serial", method: "GET", path: "/v1/certificates/xyz", status: 400, rule: "request.body", field: "serial"},
	} {
		if s.path == "" {
			s.path = cases
		}
		if s.kind == "" {
			s.kind = kind
		}
		t.Run(s.name, func(t *testing.T) { o.sendAs(t, s) })
	}
}

func (o *office) sendAs(t *testing.T, s send) {
	if s.method == "" {
		s.method = http.MethodPost
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: o.tls(o.Manager), DisableKeepAlives: true}, Timeout: patience}
	req, err := http.NewRequestWithContext(t.Context(), s.method, o.url+s.path, bytes.NewReader([]byte(s.body)))
	must(t, err)
	req.Header.Set("Content-Type", s.kind)
	for name, value := range s.header {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	for try := 0; err != nil && len(s.body) > 1<<20 && try < 5; try++ { // it was still sending when the server, which had heard enough, hung up
		req.Body = io.NopCloser(bytes.NewReader([]byte(s.body)))
		resp, err = client.Do(req)
	}
	must(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	must(t, err)
	var p api.Problem
	if err := json.Unmarshal(data, &p); err != nil || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%s: %s", resp.Status, data)
	}
	if resp.StatusCode != s.status || p.Status != s.status || p.Rule != s.rule || s.field != "" && p.Field != s.field {
		t.Errorf("%d %s at %q (%s), want %d %s at %q", p.Status, p.Rule, p.Field, p.Detail, s.status, s.rule, s.field)
	}
}

func TestEveryReadingRouteAnswersAsDescribed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	o, ctx := open(t), t.Context()
	_, card, hand := o.Holder("Mara", managerJob)
	mara := o.as(hand)
	must(t, failed(mara.OpenAPI(ctx)))
	must(t, failed(mara.Cards(ctx, api.CardFilter{State: api.CardActive, Limit: 1})))
	must(t, failed(mara.Cases(ctx, api.CaseFilter{State: api.CaseHandedOver})))
	shown, err := mara.Card(ctx, card)
	must(t, err)
	if want := shown.NotAfter.AddDate(0, 0, -91); shown.RenewFrom.Before(want) || shown.RenewFrom.After(want.Add(48*time.Hour)) {
		t.Errorf("renewal from %s to %s", shown.RenewFrom, shown.NotAfter)
	}
	issuers, err := mara.Issuers(ctx)
	must(t, err)
	lists, err := mara.Lists(ctx)
	must(t, err)
	if len(issuers.Issuers) != 4 || len(lists.Lists) != 1+3*16+1 { // and the archive of the Signing CA
		t.Errorf("%d issuers, %d lists", len(issuers.Issuers), len(lists.Lists))
	}
	health, err := mara.Health(ctx)
	must(t, err)
	if health.Epoch != 1 || health.Position == 0 || health.Quarantine {
		t.Errorf("health %+v", health)
	}
}

func TestQuarantineStopsCardsAndNothingElse(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	o, ctx := open(t), t.Context()
	ready := o.Approved(o.Person("Alex", "Example"))
	_, card, _ := o.Holder("Bo", ordinaryJob)
	must(t, o.Ledger.SetQuarantine(ctx, true))
	must(t, failed(o.manager.Suspend(ctx, card, api.Reason{})))
	wantRule(t, failed(o.manager.Resume(ctx, card, api.Reason{})), 503, "ledger.quarantine")
	must(t, failed(o.manager.Cancel(ctx, card, api.CancelCard{Reason: "lost"})))
	p := wantRule(t, o.issue(o.manager, ready.ID), 503, "ledger.quarantine")
	if api.ClassOf(p) != api.ClassUnreachable {
		t.Errorf("class %d", api.ClassOf(p))
	}
	wantRule(t, failed(o.manager.AddPerson(ctx, o.newcomer("Cleo", "Example"))), 503, "ledger.quarantine")
	must(t, failed(o.manager.Health(ctx)))
	must(t, o.Ledger.SetQuarantine(ctx, false))
	must(t, o.issue(o.manager, ready.ID))
}
