package ldap_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	client "github.com/go-ldap/ldap/v3"

	"cardinal/certs"
	"cardinal/directory"
	"cardinal/directory/ldap"
	"cardinal/directory/tree"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// followed is what a client is told, as short lines.
type followed struct {
	t      *testing.T
	cancel context.CancelFunc
	lines  chan string
	cookie []byte
}

// next returns the next line, which must come soon.
func (f *followed) next() string {
	f.t.Helper()
	select {
	case line, ok := <-f.lines:
		if !ok {
			return "ended"
		}
		return line
	case <-time.After(time.Minute):
		f.t.Fatal("nothing is told")
		return ""
	}
}

func (f *followed) wants(lines ...string) {
	f.t.Helper()
	for _, want := range lines {
		if got := f.next(); got != want {
			f.t.Errorf("told %q, want %q", got, want)
		}
	}
}

// until reads up to a line and returns what came before.
func (f *followed) until(last string) (lines []string) {
	f.t.Helper()
	for {
		line := f.next()
		if line == last || line == "ended" {
			slices.Sort(lines)
			return lines
		}
		lines = append(lines, line)
	}
}

// sync follows by go-ldap's own content sync.
func (r *rig) sync(c *client.Conn, cookie []byte, mode client.ControlSyncRequestMode, filter string) *followed {
	ctx, cancel := context.WithCancel(context.Background())
	f := &followed{t: r.t.(*testing.T), cancel: cancel, lines: make(chan string, 1000)}
	r.t.Cleanup(cancel)
	request := client.NewSearchRequest("o=nhs", client.ScopeWholeSubtree, 0, 0, 0, false, filter, []string{"*", "+"}, nil)
	response := c.Syncrepl(ctx, request, 100, mode, cookie, false)
	go func() {
		defer close(f.lines)
		for response.Next() {
			if e := response.Entry(); e != nil {
				state, _ := response.Controls()[0].(*client.ControlSyncState)
				f.lines <- fmt.Sprintf("%d %s", state.State, e.DN)
				continue
			}
			for _, control := range response.Controls() {
				switch x := control.(type) {
				case *client.ControlSyncInfo:
					f.lines <- f.info(x)
				case *client.ControlSyncDone:
					f.cookie = x.Cookie
					f.lines <- fmt.Sprintf("done %t", x.RefreshDeletes)
				}
			}
		}
		if err := response.Err(); err != nil {
			f.lines <- err.Error()
		}
	}()
	return f
}

func (f *followed) info(x *client.ControlSyncInfo) string {
	switch {
	case x.NewCookie != nil:
		f.cookie = x.NewCookie.Cookie
		return "cookie"
	case x.RefreshDelete != nil:
		f.cookie = x.RefreshDelete.Cookie
		return "refreshed by changes"
	case x.RefreshPresent != nil:
		f.cookie = x.RefreshPresent.Cookie
		return "refreshed"
	case x.SyncIdSet != nil:
		return fmt.Sprintf("%d as they were", len(x.SyncIdSet.SyncUUIDs))
	}
	return "unknown"
}

// secretive shows the reader what is described as public, and of people no
// mail.
const secretive = `rules:
  - {name: mail, who: [authenticated], attributes: [mail, description], rights: [read], deny: true, filter: "(objectClass=person)"}
  - {name: hidden, who: [authenticated], filter: "(description=hidden)", attributes: [entry, "*", "+"], rights: [read, search], deny: true}
  - {name: rest, who: [authenticated], attributes: [entry, "*", "+"], rights: [read, search]}
`

func withRules(t *testing.T, text string) func(c *ldap.Config) {
	return func(c *ldap.Config) {
		rules, err := c.Tree.Schema().ParseRules([]byte(text))
		must(t, err)
		c.Rules, c.ChangeLog = rules, true
	}
}

func (l *load) add(dn, description string) {
	l.t.Helper()
	add := client.NewAddRequest(dn, nil)
	add.Attribute("objectClass", []string{"organizationalUnit"})
	add.Attribute("description", []string{description})
	must(l.t, l.conn.Add(add))
}

func (l *load) describe(dn, description string) {
	l.t.Helper()
	mod := client.NewModifyRequest(dn, nil)
	mod.Replace("description", []string{description})
	must(l.t, l.conn.Modify(mod))
}

func (l *load) remove(dn string) {
	l.t.Helper()
	must(l.t, l.conn.Del(client.NewDelRequest(dn, nil)))
}

const unit = "ou=unit,ou=Services,o=nhs"

// changeUnits makes an entry come, hide, show and go, and others that the
// reader never sees.
func changeUnits(l *load) {
	l.add("ou=never,ou=Services,o=nhs", "hidden")
	l.add(unit, "first")
	l.describe(unit, "second")
	l.describe(unit, "hidden")
	l.describe("ou=never,ou=Services,o=nhs", "hidden")
	l.describe(unit, "third")
	must(l.t, l.conn.ModifyDN(client.NewModifyDNRequest(unit, "ou=other", true, "")))
	l.remove("ou=never,ou=Services,o=nhs")
	l.remove("ou=other,ou=Services,o=nhs")
	l.add("ou=last,ou=Services,o=nhs", "last")
}

func TestSyncTellsAReaderWhatHeMayKnow(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, withRules(t, secretive))
	r.ldif(workforce)
	l := newLoad(t, r, 1)
	all, units := r.dial(reader, "reading"), r.dial(reader, "reading")
	everything := r.sync(all, nil, client.SyncRequestModeRefreshAndPersist, "(objectClass=*)")
	if first := everything.until("refreshed"); len(first) != 8 || first[0] != "1 cn=reader,ou=Services,o=nhs" {
		t.Errorf("at first: %q", first)
	}
	named := r.sync(units, nil, client.SyncRequestModeRefreshAndPersist, "(description=second)")
	named.until("refreshed")
	before := slices.Clone(everything.cookie)
	changeUnits(l)
	without := func(f *followed, last string) (lines []string) {
		for line := f.next(); line != last && line != "ended"; line = f.next() {
			if line != "cookie" {
				lines = append(lines, line)
			}
		}
		return lines
	}
	got := without(everything, "1 ou=last,ou=Services,o=nhs")
	want := []string{"1 " + unit, "2 " + unit, "3 " + unit, "1 " + unit, "2 ou=other,ou=Services,o=nhs", "3 ou=other,ou=Services,o=nhs"}
	if !slices.Equal(slices.Compact(got), want) && !isTail(got, want) {
		t.Errorf("told\n%q, want\n%q", got, want)
	}
	if got := without(named, "3 "+unit); !slices.Equal(got, []string{"1 " + unit}) {
		t.Errorf("told of what was named so for a while: %q", got)
	}
	again := r.sync(r.dial(reader, "reading"), before, client.SyncRequestModeRefreshOnly, "(objectClass=*)")
	late := without(again, "done true")
	if !slices.Contains(late, "1 ou=last,ou=Services,o=nhs") || strings.Contains(strings.Join(late, "\n"), "never") {
		t.Errorf("with the cookie from before: %q", late)
	}
	nothing := r.sync(r.dial(reader, "reading"), again.cookie, client.SyncRequestModeRefreshOnly, "(objectClass=*)")
	nothing.wants("done true")
	other := r.sync(r.dial(reader, "reading"), again.cookie, client.SyncRequestModeRefreshOnly, "(objectClass=person)")
	if whole := without(other, "done false"); len(whole) != 4 {
		t.Errorf("a cookie of another search: %q", whole)
	}
	stranger := r.sync(r.dial(alex, "alex's password"), again.cookie, client.SyncRequestModeRefreshOnly, "(objectClass=*)")
	if whole := without(stranger, "done false"); len(whole) != 9 {
		t.Errorf("a cookie of another reader: %q", whole)
	}
}

// isTail allows for modifications that were told together.
func isTail(got, want []string) bool {
	i := 0
	for _, line := range want {
		if i < len(got) && got[i] == line {
			i++
		}
	}
	return i == len(got) && len(got) > 0 && got[len(got)-1] == want[len(want)-1]
}

// persistent follows by persistent search.
func (r *rig) persistent(c *client.Conn, types int64, changesOnly bool) *followed {
	ctx, cancel := context.WithCancel(context.Background())
	f := &followed{t: r.t.(*testing.T), cancel: cancel, lines: make(chan string, 1000)}
	r.t.Cleanup(cancel)
	flag := map[bool]string{true: "0101ff", false: "010100"}[changesOnly]
	value, err := hex.DecodeString(fmt.Sprintf("30090201%02x%s0101ff", types, flag))
	must(r.t, err)
	request := client.NewSearchRequest("o=nhs", client.ScopeWholeSubtree, 0, 0, 0, false, "(objectClass=organizationalUnit)", nil,
		[]client.Control{client.NewControlString("2.16.840.1.113730.3.4.3", true, string(value))})
	response := c.SearchAsync(ctx, request, 100)
	go func() {
		defer close(f.lines)
		for response.Next() {
			e := response.Entry()
			if e == nil {
				continue
			}
			line := e.DN
			for _, control := range response.Controls() {
				if x, ok := control.(*client.ControlString); ok && x.ControlType == "2.16.840.1.113730.3.4.7" {
					line = notice(x.ControlValue) + line
				}
			}
			f.lines <- line
		}
		if err := response.Err(); err != nil {
			f.lines <- err.Error()
		}
	}()
	return f
}

func notice(value string) string {
	p, err := ber.DecodePacketErr([]byte(value))
	if err != nil {
		return err.Error()
	}
	line := fmt.Sprintf("%d ", p.Children[0].Value)
	if len(p.Children) == 3 {
		line += fmt.Sprintf("was %s ", p.Children[1].Data.String())
	}
	return line
}

func TestPersistentSearchTellsEachChange(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, withRules(t, secretive))
	r.ldif(workforce)
	l := newLoad(t, r, 1)
	all := r.persistent(r.dial(reader, "reading"), 15, false)
	all.wants("ou=People,o=nhs", "ou=Services,o=nhs")
	deletes := r.persistent(r.dial(reader, "reading"), 2, true)
	r.settled(2)
	changeUnits(l)
	all.wants("1 "+unit, "4 "+unit, "2 "+unit, "4 "+unit, "8 was "+unit+" ou=other,ou=Services,o=nhs", "2 ou=other,ou=Services,o=nhs",
		"1 ou=last,ou=Services,o=nhs")
	deletes.wants("2 "+unit, "2 ou=other,ou=Services,o=nhs")
}

// settled waits until so many searches follow.
func (r *rig) settled(n int) {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); r.server.Following() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%d searches follow, not %d", r.server.Following(), n)
		}
	}
}

func TestChangeLogShowsEachReaderHisPart(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, withRules(t, secretive))
	r.ldif(workforce)
	l := newLoad(t, r, 1)
	c := r.dial(reader, "reading")
	log := func(scope int, base, filter string) []*client.Entry {
		t.Helper()
		got, err := c.Search(client.NewSearchRequest(base, scope, 0, 0, 0, false, filter, []string{"*"}, nil))
		must(t, err)
		return got.Entries
	}
	head := log(client.ScopeBaseObject, "cn=changelog,o=nhs", "(objectClass=nhsExternalChangelog)")
	if len(head) != 1 || head[0].GetAttributeValue("firstchangenumber") != "1" || head[0].GetAttributeValue("lastchangenumber") != "8" {
		t.Fatalf("the head of the log: %v", head)
	}
	changeUnits(l)
	var got []string
	for _, e := range log(client.ScopeSingleLevel, "cn=changelog,o=nhs", "(changenumber>=9)") {
		got = append(got, e.GetAttributeValue("changeType")+" "+e.GetAttributeValue("targetDN")+" "+e.GetAttributeValue("newRDN"))
		if strings.Contains(e.GetAttributeValue("changes"), "hidden") || len(e.GetAttributeValue("changeTime")) < 15 {
			t.Errorf("%s shows %q at %q", e.DN, e.GetAttributeValue("changes"), e.GetAttributeValue("changeTime"))
		}
	}
	want := []string{"add " + unit + " ", "modify " + unit + " ", "delete " + unit + " ", "add " + unit + " ", "modrdn " + unit + " ou=other",
		"delete ou=other,ou=Services,o=nhs ", "add ou=last,ou=Services,o=nhs "}
	if !slices.Equal(got, want) {
		t.Errorf("the log shows\n%q, want\n%q", got, want)
	}
	modify := log(client.ScopeBaseObject, "changenumber=11,cn=Changelog,o=nhs", "(objectClass=*)")
	if len(modify) != 1 || !strings.HasPrefix(modify[0].GetAttributeValue("changes"), "replace: description\ndescription: second\n-\n") {
		t.Errorf("a modification: %v", modify)
	}
	if _, err := c.Search(client.NewSearchRequest("changenumber=9,cn=changelog,o=nhs", 0, 0, 0, 0, false, "(objectClass=*)", nil, nil)); !client.IsErrorWithCode(err, 32) {
		t.Errorf("a change of an entry nobody sees: %v", err)
	}
	person := log(client.ScopeBaseObject, "changenumber=4,cn=changelog,o=nhs", "(changenumber=4)")
	if text := person[0].GetAttributeValue("changes"); strings.Contains(text, "mail:") || strings.Contains(text, "assword") || !strings.Contains(text, "sn: Example") {
		t.Errorf("a person: %q", text)
	}
	_, err := r.dial("", "").Search(client.NewSearchRequest("cn=changelog,o=nhs", 2, 0, 0, 0, false, "(objectClass=*)", nil, nil))
	wants(t, "anonymous", err, 32)
}

func TestFollowersEndAndLeaveNothing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRigKeeping(t, tree.History{}, func(c *ldap.Config) { c.Limits.MaxFollowingPerConnection = 2 })
	r.ldif(workforce)
	c := r.dial(reader, "reading")
	one := r.sync(c, nil, client.SyncRequestModeRefreshAndPersist, "(objectClass=*)")
	one.until("refreshed")
	two := r.sync(c, nil, client.SyncRequestModeRefreshAndPersist, "(objectClass=*)")
	two.until("refreshed")
	r.settled(2)
	three := r.sync(c, nil, client.SyncRequestModeRefreshAndPersist, "(objectClass=*)")
	three.until("refreshed")
	if got := three.next(); !strings.Contains(got, "51") {
		t.Errorf("one too many: %q", got)
	}
	must(t, c.Bind(alex, "alex's password")) // abandons
	r.settled(0)
	four := r.sync(r.dial(reader, "reading"), nil, client.SyncRequestModeRefreshAndPersist, "(objectClass=*)")
	four.until("refreshed")
	r.settled(1)
	l := newLoad(t, r, 2)
	l.add(unit, "x")
	four.wants("1 "+unit, "cookie")
	r.restart(nil)
	if got := four.next(); !strings.Contains(got, "52") {
		t.Errorf("the server stopped: %q", got)
	}
}

// TestLostCardLeavesTheCopies: a certificate is hidden once its card is
// reported, though nothing has written to its holder's entry.
func TestLostCardLeavesTheCopies(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, nil)
	r.ldif(workforce)
	card := r.pki.issue(pkix.Name{CommonName: "900000000017"})
	leaf, err := x509.ParseCertificate(card.Certificate[0])
	must(t, err)
	block, _ := pem.Decode(r.pki.caPEM)
	issuer, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	id, err := certs.IssuerIDFromSPKI(issuer.RawSubjectPublicKeyInfo)
	must(t, err)
	r.append(journal.KindIssuerAdded, certs.IssuerAdded{Name: "cards", DER: issuer.Raw, Shards: 1}.Append(nil))
	name, err := directory.ParseDN(alex)
	must(t, err)
	p, err := r.updates.Modify(t.Context(), r.issuance, name, []directory.Modification{{Op: directory.ModAdd,
		Attribute: directory.Attribute{Type: "userCertificate;binary", Values: [][]byte{leaf.Raw}}}})
	must(t, err)
	must(t, r.replica.WaitFor(t.Context(), p))
	r.cards.set(leaf.Raw, true)
	f := r.sync(r.dial(reader, "reading"), nil, client.SyncRequestModeRefreshAndPersist, "(uid=900000000017)")
	f.until("refreshed")
	copied := newConsumer(t, r.plain, "refreshAndPersist")
	copied.equals(r, "with a card")
	r.cards.set(leaf.Raw, false)
	serial, err := certs.SerialFromBytes(leaf.SerialNumber.Bytes())
	must(t, err)
	lost := certs.StatusChange{Issuer: id, Serials: []certs.Serial{serial},
		Status: certs.Status{State: certs.StateRevoked, Reason: certs.ReasonKeyCompromise, At: time.Now().UTC().Truncate(time.Second)}}
	r.append(journal.KindStatusChanged, lost.Append(nil))
	f.wants("2 "+alex, "cookie")
	copied.equals(r, "after it was lost")
	dumped, err := copied.dump()
	must(t, err)
	if text := dumped[strings.ToLower(alex)]; text == "" || strings.Contains(text, "usercertificate") {
		t.Errorf("the copy holds\n%s", text)
	}
}

// append writes a change of another room to the journal.
func (r *rig) append(kind journal.Kind, body []byte) {
	r.t.Helper()
	p, err := r.ledger.Write(r.t.Context(), func(tx *ledger.Tx) error { tx.Append(kind, 1, body); return nil })
	must(r.t, err)
	must(r.t, r.replica.WaitFor(r.t.Context(), p))
}
