package ldap_test

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	client "github.com/go-ldap/ldap/v3"

	"cardinal/directory"
	"cardinal/directory/ldap"
	"cardinal/directory/register"
	"cardinal/internal/ber"
)

func startTLS(id int) []byte {
	return envelope(id, 0x77, ber.AppendString(nil, 0x80, "1.3.6.1.4.1.1466.20037"))
}

// TestStartTLSRefusesWhatStandsBehindIt: octets that came in clear must not be
// taken for what the client says under TLS.
func TestStartTLSRefusesWhatStandsBehindIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	w := openWire(t, r.plain, r.schema)
	w.send(startTLS(2), ask{base: "", filter: "(objectClass=*)", attrs: []string{"1.1"}}.pdu(t, 3))
	if got := w.until(2, time.Second*5); got != "#2 op78 code 1" {
		t.Errorf("got %s", got)
	}
	if got := w.until(3, time.Second*5); !strings.HasSuffix(got, "#3 op65 code 0") {
		t.Errorf("the request behind is answered in clear: got %s", got)
	}
	w.send(startTLS(4))
	if got := w.until(4, time.Second*5); got != "#4 op78 code 0" {
		t.Fatalf("got %s", got)
	}
	secure := tls.Client(w.conn, tlsConfig(r.pki, nil))
	must(t, secure.Handshake())
	w.conn = secure
	w.send(startTLS(5), bind(6, rootDN, rootPassword))
	if got := w.until(5, time.Second*5); got != "#5 op78 code 1" {
		t.Errorf("a second StartTLS: got %s", got)
	}
	if got := w.until(6, time.Second*5); got != "#6 op61 code 0" {
		t.Errorf("got %s", got)
	}
}

func TestNodeWithoutWriterRefers(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, func(c *ldap.Config) { c.Writer, c.Referrals = nil, []string{"ldap://writer.example/"} })
	r.ldif(workforce)
	c := r.dial(rootDN, rootPassword)
	wants(t, "delete", c.Del(client.NewDelRequest(bo, nil)), 10)
}

func TestTooMuchAtOnceIsBusy(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, func(c *ldap.Config) { c.Limits.MaxInFlightPerConnection = 2 })
	r.ldif(workforce)
	w := openWire(t, r.plain, r.schema)
	w.send(bind(1, rootDN, rootPassword))
	_ = w.until(1, 10*time.Second)
	var all []byte
	for id := 2; id < 40; id++ {
		all = append(all, add(id, "cn=x,ou=Services,o=nhs", attribute("objectClass", "device"))...)
	}
	w.send(all)
	codes := map[string]int{}
	for range 38 {
		m := w.next(20 * time.Second)
		codes[m[strings.LastIndexByte(m, ' ')+1:]]++
	}
	if codes["51"] == 0 || codes["0"] != 1 || codes["0"]+codes["51"]+codes["68"] != 38 {
		t.Errorf("codes %v", codes)
	}
}

func TestHalfOpenConnectionsGo(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, func(c *ldap.Config) { c.Limits.Handshake = 300 * time.Millisecond })
	silent, slow := openWire(t, r.plain, r.schema), openWire(t, r.secure, r.schema)
	for _, w := range []*wire{silent, slow} {
		if got := w.next(10 * time.Second); got != "closed" {
			t.Errorf("got %s", got)
		}
	}
}

func TestLostCardEndsItsConnections(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, nil)
	r.ldif(workforce)
	card := r.pki.issue(pkix.Name{CommonName: "900000000017"})
	r.cards.set(card.Certificate[0], true)
	c, err := client.DialURL("ldaps://"+r.secure, client.DialWithTLSConfig(tlsConfig(r.pki, card)))
	must(t, err)
	defer c.Close()
	must(t, c.ExternalBind())
	r.cards.set(card.Certificate[0], false)
	time.Sleep(1100 * time.Millisecond)
	if got, err := search(c, alex, "(uid=*)"); err == nil {
		t.Errorf("a lost card still reads %q", names(got))
	}
}

func TestEndOfACertificateEndsItsConnections(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	var later atomic.Int64
	r := newRig(t, func(c *ldap.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	})
	r.ldif(workforce)
	card := r.pki.issue(pkix.Name{CommonName: "900000000017"})
	r.cards.set(card.Certificate[0], true)
	c, err := client.DialURL("ldaps://"+r.secure, client.DialWithTLSConfig(tlsConfig(r.pki, card)))
	must(t, err)
	defer c.Close()
	must(t, c.ExternalBind())
	if _, err := search(c, alex, "(uid=*)"); err != nil {
		t.Fatal(err)
	}
	later.Store(int64(2 * time.Hour))
	if got, err := search(c, alex, "(uid=*)"); err == nil {
		t.Errorf("a card that has ended still reads %q", names(got))
	}
}

func TestShutdownTellsClientsAndEndsWork(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, nil)
	w := openWire(t, r.plain, r.schema)
	w.send(bind(2, "", ""))
	_ = w.until(2, 5*time.Second)
	done := make(chan error, 1)
	go func() { done <- r.server.Shutdown(t.Context()) }()
	if got := w.next(5 * time.Second); got != "notice code 52" {
		t.Errorf("got %s", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRequestsBeyondTheLimitAreCut(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, func(c *ldap.Config) { c.Limits.MaxPDU, c.Limits.MaxAnonymousPDU = 4000, 1000 })
	r.ldif(workforce)
	big := ask{base: "o=nhs", filter: "(cn=" + strings.Repeat("x", 2000) + ")"}
	w := openWire(t, r.plain, r.schema)
	w.send(big.pdu(t, 2)[:50])
	if got := w.next(5 * time.Second); got != "notice code 2" {
		t.Errorf("anonymous: %s", got)
	}
	w = openWire(t, r.plain, r.schema)
	w.send(bind(1, rootDN, rootPassword), big.pdu(t, 2))
	if got := w.until(2, 10*time.Second); !strings.HasSuffix(got, "#2 op65 code 0") {
		t.Errorf("bound: %s", got)
	}
}

func TestOldCopyAnswersNothingButItself(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, func(c *ldap.Config) { c.Limits.Age = time.Nanosecond })
	r.ldif(workforce)
	c := r.dial("", "")
	wants(t, "bind", c.Bind(alex, "alex's password"), 52)
	wants(t, "root identity", c.Bind(rootDN, rootPassword), 52)
	_, err := search(c, "o=nhs", "(uid=1)")
	wants(t, "search", err, 52)
	_, err = c.Compare(alex, "sn", "x")
	wants(t, "compare", err, 52)
	_, err = c.Search(client.NewSearchRequest("", client.ScopeBaseObject, 0, 0, 0, false, "(objectClass=*)", nil, nil))
	wants(t, "root DSE", err, 0)
}

// TestCancelAndAbandonDecideOnce gives up long searches: a cancelled one ends
// with its own answer, an abandoned one with none.
func TestCancelAndAbandonDecideOnce(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, nil)
	suffix, err := directory.ParseDN("o=nhs")
	must(t, err)
	p, err := r.updates.Register.Load(t.Context(), register.LoadJob{Ledger: r.ledger, Suffix: suffix, Next: register.FromEntries(firstOf(8_000)), By: r.issuance})
	must(t, err)
	must(t, r.replica.WaitFor(t.Context(), p))
	w := openWire(t, r.plain, r.schema)
	w.send(bind(1, rootDN, rootPassword))
	_ = w.until(1, 10*time.Second)
	long := ask{base: "o=nhs", scope: 2, filter: "(description=*nowhere*)"}
	cancel := func(id, other int) []byte {
		return envelope(id, 0x77, append(ber.AppendString(nil, 0x80, "1.3.6.1.1.8"),
			ber.Append(nil, 0x81, ber.Append(nil, ber.Sequence, ber.AppendInt(nil, ber.Integer, int64(other))))...))
	}
	for i := 2; i < 60; i += 4 {
		w.send(long.pdu(t, i), cancel(i+1, i), long.pdu(t, i+2), envelope(i+3, 0x50, []byte{byte(i + 2)}))
	}
	w.send(ask{base: "", filter: "(objectClass=*)", attrs: []string{"1.1"}}.pdu(t, 100), bind(101, "", ""))
	answers := map[string]string{}
	for m := ""; !strings.HasPrefix(m, "#101 "); {
		m = w.next(20 * time.Second)
		id, rest, _ := strings.Cut(m, " ")
		if before, twice := answers[id]; twice && id != "#100" {
			t.Errorf("%s answered twice: %s, %s", id, before, rest)
		}
		answers[id] = rest
	}
	for i := 2; i < 60; i += 4 {
		search, cancelled := answers[fmt.Sprint("#", i)], answers[fmt.Sprint("#", i+1)]
		good := search == "op65 code 118" && cancelled == "op78 code 0" ||
			search == "op65 code 0" && (cancelled == "op78 code 119" || cancelled == "op78 code 120")
		if !good {
			t.Errorf("search %d: %q, its cancel: %q", i, search, cancelled)
		}
	}
}

// firstOf gives the first entries of the benchmark's workforce.
func firstOf(n int) func() (*directory.Entry, error) {
	next := benchEntries()
	return func() (*directory.Entry, error) {
		if n--; n < 0 {
			return nil, io.EOF
		}
		return next()
	}
}
