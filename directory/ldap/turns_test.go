package ldap_test

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"cardinal/directory/ldap"
)

// inTurnRig is a server with one seat and more entries than a search looks at
// before it takes turns.
func inTurnRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, func(c *ldap.Config) { c.Limits.Turns = 1 })
	var text strings.Builder
	text.WriteString(workforce)
	for i := range crowdOfDevices {
		fmt.Fprintf(&text, "\ndn: cn=d%d,ou=Services,o=nhs\nobjectClass: device\ncn: d%d\n", i, i)
	}
	r.ldif(text.String())
	return r
}

const crowdOfDevices = 150

// await waits until something holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came that %s", what)
		}
	}
}

// TestShortRequestsNeedNoTurn: while every seat is taken, binds and long
// searches wait, and whatever is short is answered. What waits can be given up
// in every way, and the seats are there afterwards.
func TestShortRequestsNeedNoTurn(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := inTurnRig(t)
	bound := func() *wire {
		w := openWire(t, r.plain, r.schema)
		w.send(bind(1, rootDN, rootPassword))
		if got := w.until(1, time.Minute); got != "#1 op61 code 0" {
			t.Fatal(got)
		}
		return w
	}
	short, long, closed, unbound := bound(), bound(), bound(), bound()
	giveBack := ldap.TakeSeats(r.server)
	defer giveBack()
	waiting := func(n int) { // also that nobody else waits
		t.Helper()
		await(t, fmt.Sprintf("%d wait, not %d", n, ldap.Waiting(r.server)), func() bool { return ldap.Waiting(r.server) == n })
	}
	all := ask{base: "ou=Services,o=nhs", scope: 1, filter: "(objectClass=device)", attrs: []string{"1.1"}}
	for id := 2; id < 5; id++ {
		long.send(all.pdu(t, id))
		waiting(id - 1)
	}
	closed.send(all.pdu(t, 2))
	unbound.send(all.pdu(t, 2))
	late := openWire(t, r.plain, r.schema)
	late.send(bind(1, rootDN, rootPassword))
	waiting(6)
	one := ask{base: "o=nhs", scope: 2, filter: "(uid=900000000041)", attrs: []string{"1.1"}}
	for id := 10; id < 60; id++ {
		short.send(one.pdu(t, id))
		if got := short.until(id, time.Minute); !strings.HasSuffix(got, fmt.Sprintf("#%d op65 code 0", id)) {
			t.Fatalf("a short search beside a full house: %s", got)
		}
	}
	long.send(envelope(5, 0x50, []byte{3})) // abandon
	waiting(5)
	_ = closed.conn.Close()
	unbound.send(envelope(3, 0x42, nil))
	waiting(3)
	giveBack()
	if got := late.until(1, time.Minute); got != "#1 op61 code 0" {
		t.Errorf("the bind that waited: %s", got)
	}
	answered := map[string]int{}
	for answered["#2 op65 code 0"]+answered["#4 op65 code 0"] < 2 {
		m := long.next(time.Minute)
		if m == "closed" || m == "silent" || strings.HasPrefix(m, "#3 op") {
			t.Fatalf("%s after %v", m, answered)
		}
		answered[strings.SplitN(m, ",", 2)[0]]++
	}
	waiting(0)
	await(t, "the seat is free", func() bool { return ldap.FreeSeats(r.server) == 1 })
}

// TestClientThatDoesNotReadHoldsNoSeat: a search whose client does not take its
// answer waits for him without the only seat.
func TestClientThatDoesNotReadHoldsNoSeat(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := inTurnRig(t)
	everything := ask{base: "ou=Services,o=nhs", scope: 1, filter: "(objectClass=device)"}
	for _, secure := range []bool{false, true} {
		stalled := openWire(t, r.plain, r.schema)
		if secure {
			stalled, _ = openWireTLS(t, r)
		}
		stalled.send(bind(1, rootDN, rootPassword))
		_ = stalled.until(1, time.Minute)
		for id := 2; id < 2+ldapInFlight; id++ { // as many answers as the sockets take, and more
			stalled.send(everything.pdu(t, id))
		}
	}
	other := openWire(t, r.plain, r.schema)
	other.send(bind(1, rootDN, rootPassword), everything.pdu(t, 2))
	for entries := 0; ; entries++ {
		if m := other.next(time.Minute); m == "#2 op65 code 0" {
			if entries <= crowdOfDevices { // with the answer to the bind
				t.Errorf("%d entries", entries)
			}
			break
		} else if m == "closed" || m == "silent" {
			t.Fatal(m)
		}
	}
	await(t, "the seat is free", func() bool { return ldap.FreeSeats(r.server) == 1 && ldap.Waiting(r.server) == 0 })
}

// ldapInFlight is how many requests one connection may have in flight.
const ldapInFlight = 100

// TestHandshakesTakeTurns: a flood of TLS handshakes waits for seats, and not
// one request that is there already waits for it.
func TestHandshakesTakeTurns(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := inTurnRig(t)
	short := openWire(t, r.plain, r.schema)
	short.send(bind(1, rootDN, rootPassword))
	_ = short.until(1, time.Minute)
	giveBack := ldap.TakeSeats(r.server)
	defer giveBack()
	const flood = 8
	done := make(chan error, flood)
	for range flood {
		go func() {
			c, err := dialTLS(r)
			if err == nil {
				err = c.Close()
			}
			done <- err
		}()
	}
	await(t, "all handshakes wait", func() bool { return ldap.Waiting(r.server) == flood })
	one := ask{base: "o=nhs", scope: 2, filter: "(uid=900000000041)", attrs: []string{"1.1"}}
	short.send(one.pdu(t, 2))
	if got := short.until(2, time.Minute); !strings.HasSuffix(got, "#2 op65 code 0") {
		t.Errorf("got %s", got)
	}
	if len(done) > 0 {
		t.Errorf("%d handshakes ended without a turn", len(done))
	}
	giveBack()
	for range flood {
		must(t, <-done)
	}
	await(t, "the seat is free", func() bool { return ldap.FreeSeats(r.server) == 1 })
}

func dialTLS(r *rig) (*tls.Conn, error) { return tls.Dial("tcp", r.secure, tlsConfig(r.pki, nil)) }
