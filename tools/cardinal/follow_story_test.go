package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	xocsp "golang.org/x/crypto/ocsp"

	"cardinal/ca"
	"cardinal/certs/nodes"
	"cardinal/internal/journal/feed"
	"cardinal/internal/ledger"
	"cardinal/issuance/api"
	"cardinal/policies"
)

const bothDocuments = `{"documents":[{"kind":"passport","number":"123456781","photo":true,"expires":"2099-01-01"},
{"kind":"driving-licence","number":"EXAMP802290LT9A1","photo":true,"expires":"2099-01-01"},{"kind":"bank-statement","address":true}]}`

// newCard brings a person to a card and gives its number and the folder of its pair.
func (w *followWorld) newCard() (card, pair string) {
	w.t.Helper()
	text, err := facePNG()
	w.check(err)
	w.check(errors.Join(os.WriteFile(w.path("evidence.json"), []byte(bothDocuments), 0o600), os.WriteFile(w.path("face.png"), text, 0o600)))
	person := w.as("manager", "person", "add", "--given", "Alex", "--family", "Example", "--birth", "1980-02-29", "--evidence", w.path("evidence.json"), "--photo", w.path("face.png"))["uuid"].(string)
	w.as("manager", "position", "add", "--person", person, "--organisation", "X99", "--name", "WARD", "--role-code", "S8000:G8000:R8000", "--role", `"A":"B":"Nurse"`)
	number := w.as("manager", "case", "request", "--person", person)["case"].(string)
	w.as("sponsor", "case", "approve", number)
	pair = w.path("pair")
	card = w.as("manager", "card", "issue", number, "--request-id", "desk-0001", "--simulated", w.path("alex.card"), "--out", pair)["card"].(string)
	w.as("manager", "card", "handover", card)
	return card, pair
}

func (w *followWorld) as(operator string, args ...string) map[string]any {
	w.t.Helper()
	return w.run(append(args, "--as", w.operator(operator), "--json")...)
}

func (w *followWorld) operator(name string) string { return w.path("w", "operators", name+".p12") }

// onCard does something to a card with --wait, and gives what was said of the nodes.
func (w *followWorld) onCard(want int, args ...string) (found map[string]api.ServedNode, position uint64, others int) {
	w.t.Helper()
	args = append(append([]string{"card"}, args...), "--wait", "--as", w.operator("manager"), "--json")
	code, out, stderr := program(w.t, args...)
	if code != want {
		w.t.Fatalf("%s: code %d, want %d: %s %s", strings.Join(args, " "), code, want, out, stderr)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var said servedBy
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &said); err != nil || said.Served == nil {
		w.t.Fatalf("%s: %v", out, err)
	}
	found = map[string]api.ServedNode{}
	for _, n := range said.Nodes {
		found[n.Name] = n
	}
	return found, said.Position, said.Others
}

// statusOf asks a server about a certificate of a card.
func (w *followWorld) statusOf(s *served, pair, name, issuer string) (int, error) {
	w.t.Helper()
	r, err := w.askOf(s, pair+"/"+name+".pem", w.authority(issuer))
	if err != nil {
		return -1, err
	}
	return r.Status, nil
}

func (w *followWorld) authority(name string) *x509.Certificate {
	w.t.Helper()
	authority, err := readCertificate(folder(w.path("w")).certificates() + "/" + name + ".cer")
	w.check(err)
	return authority
}

// wantStatus: the first status a server tells is this one.
func (w *followWorld) wantStatus(s *served, pair string, want int) {
	w.t.Helper()
	for name, issuer := range map[string]string{"authentication": "authentication", "signature": "signing"} {
		if got := w.answerOf(s, pair+"/"+name+".pem", w.authority(issuer)).Status; got != want {
			w.t.Errorf("%s about the %s certificate: status %d, want %d", s.name, name, got, want)
		}
	}
}

// watch follows the events from the beginning.
func (w *followWorld) watch() (events func() []api.Event) {
	w.t.Helper()
	out := &lockedBuffer{}
	command := w.command(out, "watch", "--from", "0", "--json", "--as", w.operator("manager"))
	w.check(command.Start())
	w.t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	return func() (all []api.Event) {
		d := json.NewDecoder(strings.NewReader(out.String()))
		for {
			var e api.Event
			if d.Decode(&e) != nil {
				return all
			}
			all = append(all, e)
		}
	}
}

func has(events []api.Event, kind string, position uint64, node string) bool {
	for _, e := range events {
		if e.Kind == kind && e.Position == position && e.Node == node {
			return kind != api.EventServed || !e.At.IsZero()
		}
	}
	return false
}

// TestARevocationIsKnownOnEveryNode tells another story of a writer and read nodes: a card is held, released and cancelled
// while one node is stopped, one is cut off and one was disabled; then the writer comes back from a backup.
func TestARevocationIsKnownOnEveryNode(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	shippedProgram(t) // what it takes to be built says little
	begun := time.Now()
	w := newFollowWorld(t)
	for name, scope := range map[string]string{"central-1": "central", "edge-1": "edge", "gone-1": "edge"} {
		w.enrol(name, scope)
	}
	ahead := shortestLife/2 - max(40*time.Second, min(6*time.Since(begun), 3*time.Minute)) // where that took long, so may the rest
	ends := w.certifyShortly("central-1").Add(-ahead)
	w.ahead = ahead
	w.configure(w.path("w"))
	w.serveWriter(w.path("w"))
	wire := newLink(t, w.feed)
	w.configureNode("edge-1", "limits: {ocspAge: 4s, directoryAge: 7s}\n")
	n := &storyNodes{central: w.follow("central-1", w.feed), edge: w.follow("edge-1", wire.listener.Addr().String()), gone: w.follow("gone-1", w.feed)}
	n.card, n.pair = w.newCard()
	n.events = w.watch()

	t.Run("ARevocationReturnsWhenEveryNodeHasIt", func(t *testing.T) { w.everyNodeHasIt(t, n) })
	t.Run("AnEdgesResponderCertificatesEndAnHourAfterItsLimit", func(t *testing.T) { w.edgeCertificates(t, n) })
	t.Run("ADisabledNodeIsListedUntilItRefuses", func(t *testing.T) { w.goneIsListed(t, n) })
	t.Run("RulesOfTheWriterHoldOnItsNodesAtOnce", func(t *testing.T) { w.rulesTravel(t, n.central, n.edge) })
	w.run("backup", "--dir", w.path("w"), w.path("backup"), "--passphrase-file", w.pass)
	t.Run("NodesThatAreCutOffAreListed", func(t *testing.T) { w.cutOffAreListed(t, wire, n) })
	t.Run("ARenewedNodeFollowsPastTheEndOfItsFirstCertificate", func(t *testing.T) { w.renewed(t, n.central, ends) })
	t.Run("AWriterOutOfABackupIsFollowed", func(t *testing.T) { w.restored(t, n) })
	t.Run("ANodeWhoseClockIsWrongVouchesForNothing", func(t *testing.T) { w.wrongClock(t, n.central) })
}

// storyNodes are the nodes of the story and the card it is about.
type storyNodes struct {
	central, edge, gone *served
	card, pair          string
	events              func() []api.Event
	cancelled           uint64
}

func (w *followWorld) everyNodeHasIt(t *testing.T, n *storyNodes) {
	all := []*served{w.writer, n.central, n.edge, n.gone}
	for _, s := range all {
		w.until(s.name+" knows the card", func() bool {
			status, err := w.statusOf(s, n.pair, "signature", "signing")
			return err == nil && status == xocsp.Good
		})
	}
	found, position, others := w.onCard(exitDone, "suspend", n.card)
	if others != 0 || len(found) != 4 {
		t.Errorf("%d others, nodes %v", others, found)
	}
	for _, s := range all { // at once: nobody is asked twice
		w.wantStatus(s, n.pair, xocsp.Revoked)
	}
	for name, node := range found {
		if !node.Served || node.TookMillis == nil || *node.TookMillis > 60_000 {
			t.Errorf("%s: %+v", name, node)
		}
	}
	w.until("the events tell of it", func() bool {
		said := n.events()
		return has(said, api.EventSuspended, position, "") && has(said, api.EventServed, position, localNode) &&
			has(said, api.EventServed, position, "central-1") && has(said, api.EventServed, position, "edge-1")
	})
}

// edgeCertificates: what signs at a site lives as long as the site may answer while it is cut off, and an hour.
func (w *followWorld) edgeCertificates(t *testing.T, n *storyNodes) {
	for s, want := range map[*served]time.Duration{n.central: 48 * time.Hour, n.edge: time.Hour + 4*time.Second, n.gone: time.Hour + time.Minute} {
		r := w.answer(s, w.path("edge-1", "node.cer"))
		if r.Certificate == nil {
			t.Fatalf("%s shows no certificate", s.name)
		}
		// Certificates are dated back by five minutes, and end a second early.
		if life := r.Certificate.NotAfter.Sub(r.Certificate.NotBefore); life < want-time.Second || life > want+6*time.Minute {
			t.Errorf("%s signs with a certificate that lives for %s", s.name, life)
		}
	}
}

func (w *followWorld) goneIsListed(t *testing.T, n *storyNodes) {
	r := w.answer(n.gone, w.path("edge-1", "node.cer"))
	out := w.run("node", "disable", "gone-1", "--dir", w.path("w"), "--reason", "stolen")
	until, err := time.Parse(time.RFC3339, out["signatures_until"].(string))
	if err != nil || until.Before(r.Certificate.NotAfter) || until.After(time.Now().Add(w.ahead+time.Hour+2*time.Minute)) {
		t.Errorf("it could still sign until %v, its certificate ends at %s", out["signatures_until"], r.Certificate.NotAfter)
	}
	found, _, others := w.onCard(exitUnreachable, "resume", n.card)
	gone := found["gone-1"]
	if others != 1 || gone.Served || gone.Disabled == nil || gone.Seen == nil || gone.AsOf == nil || gone.RefusesStatus == nil ||
		!gone.RefusesStatus.Equal(gone.AsOf.Add(time.Minute)) {
		t.Errorf("%d others, the disabled node: %+v", others, gone)
	}
	for _, s := range []*served{w.writer, n.central, n.edge} {
		w.wantStatus(s, n.pair, xocsp.Good)
	}
	if _, err := w.statusOf(n.gone, n.pair, "signature", "signing"); !isLater(err) {
		w.until("the disabled node says tryLater", func() bool {
			_, err := w.statusOf(n.gone, n.pair, "signature", "signing")
			return isLater(err)
		})
	}
	if _, err := w.client("gone-1").Post(t.Context(), "/v1/responder?issuer="+strings.Repeat("0", 64), nil, 1<<16); !errors.Is(err, feed.ErrDisabled) {
		t.Errorf("asking for another certificate: %v", err)
	}
}

// rulesTravel: what the writer hides is hidden by its nodes, and a reload there changes nothing about that.
func (w *followWorld) rulesTravel(t *testing.T, readers ...*served) {
	rules := func(text string) {
		w.check(os.WriteFile(w.path("w", "rules.yaml"), []byte(text), 0o600))
		w.run("access", "reload", "--dir", w.path("w"))
	}
	sees := func(s *served) (shown bool) {
		w.until(s.name+" answers", func() bool {
			text, err := entries(s)
			if err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) && !isNotNow(err) {
				t.Fatalf("%s: %v", s.name, err)
			}
			shown = strings.Contains(text, "ou: Services")
			return !isNotNow(err)
		})
		return shown
	}
	rules(strings.Replace(openRules, `"entry", "*", "+"`, `"entry", "objectClass"`, 1))
	for _, s := range readers {
		w.until(s.name+" hides what the writer hides", func() bool { return !sees(s) })
		w.run("access", "reload", "--dir", w.path(s.name+"-node"))
		if sees(s) {
			t.Errorf("%s shows it after a reload of its own", s.name)
		}
	}
	rules(openRules)
	w.same(readers...)
}

// cutOffAreListed: one node is stopped, as by a machine that hangs, the other one's wire carries nothing.
func (w *followWorld) cutOffAreListed(t *testing.T, wire *link, n *storyNodes) {
	wire.hold()
	w.check(n.central.command.Process.Signal(syscall.SIGSTOP))
	found, position, others := w.onCard(exitUnreachable, "cancel", n.card, "--reason", "lost")
	n.cancelled = position
	here, stopped, held := found[localNode], found["central-1"], found["edge-1"]
	if !here.Served || stopped.Served || held.Served {
		t.Errorf("served by %+v", found)
	}
	if stopped.Live || stopped.Seen == nil || stopped.AsOf == nil || stopped.RefusesStatus == nil || !stopped.RefusesStatus.Equal(stopped.AsOf.Add(time.Minute)) {
		t.Errorf("the stopped node: %+v", stopped)
	}
	// The other one's limits are 4 and 7 s: by the time it counts as away it answers nothing more, and is no reason to fail.
	if held.Live || held.RefusesDirectory == nil || !held.RefusesDirectory.Equal(held.AsOf.Add(7*time.Second)) || others != 2 {
		t.Errorf("%d others, the node that is cut off: %+v", others, held)
	}
	if _, err := w.statusOf(n.edge, n.pair, "signature", "signing"); !isLater(err) {
		t.Errorf("the node that is cut off: %v", err)
	}
	w.check(n.central.command.Process.Signal(syscall.SIGCONT))
	wire.let()
	w.until("both nodes are seen to serve it", func() bool {
		said := n.events()
		return has(said, api.EventRevoked, position, "") && has(said, api.EventServed, position, "central-1") && has(said, api.EventServed, position, "edge-1")
	})
	for _, s := range []*served{w.writer, n.central, n.edge} {
		w.wantStatus(s, n.pair, xocsp.Revoked)
	}
}

// shortestLife is the shortest that is certified, half of which is over when it begins. By clocks that are put forward it
// ends soon.
const shortestLife = 10 * time.Minute

// certifyShortly gives a node a certificate that lives as short as any; like any other it is renewed when two thirds of
// its life are over, which they are at once by the clocks of the story. It returns when it ends.
func (w *followWorld) certifyShortly(name string) time.Time {
	w.t.Helper()
	a := &app{out: &lockedBuffer{}, err: os.Stderr, env: os.Getenv, now: time.Now}
	f, config, err := a.open(w.path("w"))
	w.check(err)
	side, err := a.issuingSide(w.t.Context(), f, config, w.pass)
	w.check(err)
	defer side.ledger.Close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.check(err)
	order := ca.Order{Issuer: ca.Services, Holder: name, Request: policies.Request{Profile: policies.ProfileClient, PublicKey: key.Public(),
		Subject: policies.Subject{CommonName: name}, Validity: shortestLife}}
	made, _, err := side.authority.Issue(w.t.Context(), []ca.Order{order}, func(tx *ledger.Tx, made []ca.Issued) error {
		return nodes.Bind(tx, name, made[0].Ref, made[0].Certificate.Raw)
	})
	w.check(err)
	w.check(os.RemoveAll(w.path(name)))
	w.check(os.Mkdir(w.path(name), 0o700))
	again := &newNode{a: a, known: true, issuer: side.authority.ByKey(made[0].Ref.Issuer), folder: f, config: config}
	again.node.Name = name
	w.check(again.write(w.path(name), made[0].Certificate, key))
	return made[0].Certificate.NotAfter
}

// renewed: the node has long had another certificate, and must not go on by a connection it made with the first.
func (w *followWorld) renewed(t *testing.T, s *served, ends time.Time) {
	w.until("the node has renewed its certificate", func() bool { return strings.Contains(s.log.String(), "renewed this node's certificate") })
	text, err := os.ReadFile(folder(w.path(s.name + "-node")).nodeKey())
	w.check(err)
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("no renewed certificate is kept")
	}
	time.Sleep(time.Until(ends) + time.Second)
	w.add("renewed")
	w.same(s)
	if strings.Contains(s.log.String(), feed.ErrRevoked.Error()) {
		t.Errorf("it was refused: %s", s.log)
	}
}
