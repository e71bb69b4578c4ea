package ldap_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	client "github.com/go-ldap/ldap/v3"

	"cardinal/directory/ldap"
	"cardinal/internal/ber"
)

// openRules show everybody who is somebody everything and let him write.
const openRules = `rules:
  - {name: all, who: [authenticated], attributes: [entry, "*", "+"], rights: [read, search, compare, write]}
  - {name: acting, who: ["dn:cn=reader,ou=Services,o=nhs"], subtree: "ou=People,o=nhs", attributes: [entry], rights: [proxy]}
`

// narrowRules hide from the reader the descriptions and one entry, and let him
// write and act no more.
const narrowRules = `rules:
  - {name: no descriptions, who: ["dn:cn=reader,ou=Services,o=nhs"], attributes: [description], rights: [read, search, compare], deny: true}
  - {name: no entry, who: ["dn:cn=reader,ou=Services,o=nhs"], subtree: "ou=secret,ou=Services,o=nhs", attributes: [entry, "*", "+"], rights: [read, search], deny: true}
  - {name: rest, who: [authenticated], attributes: [entry, "*", "+"], rights: [read, search, compare]}
`

// rules puts other access rules in force.
func (r *rig) rules(text string, limits ...ldap.Allowance) {
	r.t.Helper()
	must(r.t, r.server.SetTerms(ruled(r.t, r.schema, text), limits))
}

const secretUnit = `dn: ou=secret,ou=Services,o=nhs
objectClass: organizationalUnit
ou: secret
description: of it

dn: ou=open,ou=Services,o=nhs
objectClass: organizationalUnit
ou: open
description: of the open one

`

func TestOtherRulesHoldFromTheNextRequestOn(t *testing.T) {
	t.Parallel()
	r := newRig(t, withRules(t, openRules))
	r.ldif(workforce + "\n" + secretUnit)
	c := r.dial(reader, "reading")
	w := bound(t, r, reader, "reading")
	id := begin(t, w)
	w.send(modify(3, "ou=open,ou=Services,o=nhs", change(2, "description", "written late")))
	_ = w.raw(wireWait) // not part of the transaction: done
	w.send(withControls(modify(4, "ou=open,ou=Services,o=nhs", change(2, "description", "too late")), control(txnControl, true, id)))
	expectAnswer(t, w, 4, 0)
	acting := func() error {
		request := client.NewSearchRequest(alex, 0, 0, 0, 0, false, "(objectClass=*)", []string{"1.1"}, []client.Control{proxied("dn:" + bo)})
		_, err := c.Search(request)
		return err
	}
	sees := func(when string, units, descriptions int) {
		t.Helper()
		got, err := search(c, "ou=Services,o=nhs", "(objectClass=organizationalUnit)", "description")
		must(t, err)
		n := 0
		for _, e := range got {
			n += len(e.GetAttributeValues("description"))
		}
		if len(got) != units || n != descriptions {
			t.Errorf("%s: %d units, %d descriptions; want %d, %d", when, len(got), n, units, descriptions)
		}
	}
	sees("at first", 3, 2)
	must(t, acting())
	pages := client.NewControlPaging(1)
	page := func() string {
		got, err := c.Search(client.NewSearchRequest("ou=Services,o=nhs", 1, 0, 0, 0, false, "(ou=*)", []string{"1.1"}, []client.Control{pages}))
		must(t, err)
		if next, ok := client.FindControl(got.Controls, client.ControlTypePaging).(*client.ControlPaging); ok {
			pages.SetCookie(next.Cookie)
		}
		return strings.Join(names(got.Entries), " ")
	}
	first := page()
	r.rules(narrowRules)
	sees("narrowed", 2, 0)
	wants(t, "acting", acting(), 123)
	wants(t, "comparing", func() error { _, err := c.Compare("ou=open,ou=Services,o=nhs", "description", "x"); return err }(), 16)
	if second := page(); strings.Contains(second, "secret") || first == second {
		t.Errorf("pages: %q, then %q", first, second)
	}
	w.send(end(5, true, id))
	if _, code, _, _ := answer(t, w); code != 50 {
		t.Errorf("a transaction from before: code %d", code)
	}
	r.rules(openRules, ldap.Allowance{MaxSize: 1})
	_, err := search(c, "ou=Services,o=nhs", "(objectClass=organizationalUnit)", "1.1")
	wants(t, "a search under other limits", err, 4)
	r.rules(openRules)
	sees("as it was", 3, 2)
}

// TestFollowersTakeOtherRules: who may see the same goes on, who may not is sent
// to begin again, at once.
func TestFollowersTakeOtherRules(t *testing.T) {
	t.Parallel()
	r := newRig(t, withRules(t, openRules))
	r.ldif(workforce + "\n" + secretUnit)
	l := newLoad(t, r, 1)
	persist, sync := client.SyncRequestModeRefreshAndPersist, "(objectClass=organizationalUnit)"
	followers := map[string]*followed{
		"reader's persistent search": r.persistent(r.dial(reader, "reading"), 15, true), "reader's sync": r.sync(r.dial(reader, "reading"), nil, persist, sync),
		"alex's persistent search": r.persistent(r.dial(alex, "alex's password"), 15, true), "alex's sync": r.sync(r.dial(alex, "alex's password"), nil, persist, sync),
	}
	for name, f := range followers {
		if strings.HasSuffix(name, "sync") {
			f.until("refreshed")
		}
	}
	r.settled(4)
	r.rules(narrowRules + `  - {name: another, who: ["dn:cn=nobody"], attributes: [entry], rights: [read]}` + "\n")
	if got := followers["reader's sync"].next(); !strings.Contains(got, "4096") {
		t.Errorf("the reader's sync is told %q", got)
	}
	if got := followers["reader's persistent search"].next(); !strings.Contains(got, "52") {
		t.Errorf("the reader's persistent search is told %q", got)
	}
	alexs := followers["alex's sync"]
	if got := alexs.next(); !strings.Contains(got, "4096") { // he may write no more
		t.Errorf("alex's sync is told %q", got)
	}
	again := r.sync(r.dial(alex, "alex's password"), alexs.cookie, persist, sync)
	again.until("refreshed")
	r.settled(1)
	r.rules(`rules:
  - {name: in other words, who: ["dn:cn=reader,ou=Services,o=nhs"], attributes: [entry, "*"], rights: [read], deny: true}
  - {name: another name, who: [authenticated], attributes: [entry, "*", "+"], rights: [read, search, compare]}
`)
	l.describe("ou=secret,ou=Services,o=nhs", "told to alex")
	if got := again.next(); got != "2 ou=secret,ou=Services,o=nhs" {
		t.Errorf("rules that are the same for alex: he is told %q", got)
	}
}

// TestAnInterruptedRefreshUnderOtherRulesIsBegunAnewUnderTheFirst: part of the
// copy is of the other rules by then, and no change tells of it.
func TestAnInterruptedRefreshUnderOtherRulesIsBegunAnewUnderTheFirst(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		name string
		keep func(before, now string) string
	}{
		{"a client that keeps cookies", func(_, now string) string { return now }},
		{"a slapd, which keeps the newest number of each server", func(before, now string) string {
			_, csn, _ := strings.Cut(now, "csn=")
			_, marks, _ := strings.Cut(before, ";")
			marks, _, _ = strings.Cut(marks, ",of=")
			return "rid=001,csn=" + csn + ";" + marks
		}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, withRules(t, openRules))
			r.ldif(workforce + "\n" + secretUnit)
			only, units := client.SyncRequestModeRefreshOnly, "(objectClass=organizationalUnit)"
			first := r.sync(r.dial(reader, "reading"), nil, only, units)
			all := first.until("done false")
			before := first.cookie
			r.rules(narrowRules)
			w := bound(t, r, reader, "reading")
			value := ber.Append(nil, ber.Sequence, ber.Append(ber.AppendInt(nil, ber.Enumerated, 1), ber.OctetString, before))
			w.send(ask{base: "o=nhs", scope: 2, filter: units, controls: [][]byte{control("1.3.6.1.4.1.4203.1.9.1.1", true, value)}}.pdu(t, 9))
			_, now, found := strings.Cut(string(w.raw(wireWait)), "rid=")
			if !found {
				t.Fatal("the first thing told is no cookie")
			}
			kept := kind.keep(string(before), "rid="+now)
			r.rules(openRules)
			again := r.sync(r.dial(reader, "reading"), []byte(kept), only, units)
			again.wants("cookie")
			if got := again.until("done false"); !slices.Equal(got, all) {
				t.Errorf("told %q, want all of it: %q", got, all)
			}
			if csn := func(cookie string) string { return cookie[strings.Index(cookie, "csn="):] }; csn(string(again.cookie)) <= csn(kept) {
				t.Errorf("cookie %s is not later than %s", again.cookie, kept)
			}
			last := r.sync(r.dial(reader, "reading"), again.cookie, only, units)
			last.wants("done true")
		})
	}
}

// TestSlapdLosesWhatItMayNotSeeAnyMore: a copy gives single attributes of
// entries up as soon as the rules, or the groups of the one who copies, hide
// them, though nothing has written to the entries.
func TestSlapdLosesWhatItMayNotSeeAnyMore(t *testing.T) {
	t.Parallel()
	need(t, "/usr/sbin/slapd", "slapd")
	const byGroup = `rules:
  - {name: descriptions, who: ["group:cn=few,ou=Services,o=nhs"], attributes: [description], rights: [read, search], deny: true}
`
	r := newRig(t, withRules(t, openRules))
	r.ldif(workforce + "\n" + secretUnit)
	r.ldif(groupOf("few", ""))
	c := newConsumerOf(t, r.plain, copying{"refreshAndPersist", reader, "reading"})
	holds := func(when string, units, descriptions int) {
		t.Helper()
		var got string
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			dumped, err := c.dump()
			all := fmt.Sprint(dumped)
			if got = fmt.Sprintf("%d units, %d descriptions", strings.Count(all, "ou=secret,"), strings.Count(all, "description: ")); err != nil {
				got = err.Error()
			}
			if got == fmt.Sprintf("%d units, %d descriptions", units, descriptions) {
				return
			}
		}
		t.Errorf("%s the copy holds %s, want %d, %d\n%s", when, got, units, descriptions, tail(c.log.String(), 3000))
	}
	holds("at first", 1, 2)
	r.rules(narrowRules)
	holds("narrowed", 0, 0)
	r.rules(openRules)
	holds("opened", 1, 2)
	r.rules(narrowRules)
	holds("narrowed as before", 0, 0)
	r.rules(byGroup + strings.TrimPrefix(openRules, "rules:\n"))
	holds("opened to some", 1, 2)
	root := r.dial(rootDN, rootPassword)
	m := client.NewModifyRequest("cn=few,ou=Services,o=nhs", nil)
	m.Add("member", []string{reader})
	must(t, root.Modify(m))
	holds("one of the few", 1, 0)
	c.stop()
	m = client.NewModifyRequest("cn=few,ou=Services,o=nhs", nil)
	m.Delete("member", []string{reader})
	must(t, root.Modify(m))
	c.start()
	holds("not one of them any more", 1, 2)
	l := newLoad(t, r, 1)
	l.describe("ou=open,ou=Services,o=nhs", "changed afterwards")
	l.remove("ou=secret,ou=Services,o=nhs")
	holds("after changes", 0, 1)
}
