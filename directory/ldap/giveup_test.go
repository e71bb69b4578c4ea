package ldap_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cardinal/directory/ldap"
)

// TestEverythingIsGivenUpAtEveryMoment has clients follow, search, fill
// transactions, commit and bind on one connection each, and give it all up by
// abandon, cancel, unbind and close, while rules and entries change. Nothing may
// be left behind, and nothing half made.
func TestEverythingIsGivenUpAtEveryMoment(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, func(c *ldap.Config) {
		withRules(t, openRules)(c)
		c.Limits.Transaction = 20 * time.Millisecond
	})
	r.ldif(workforce + "\n" + secretUnit)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var work sync.WaitGroup
	for id := range 4 {
		random := rand.New(rand.NewPCG(uint64(id), 3))
		work.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				r.giveUp(random, fmt.Sprintf("t%d-%d", id, n))
			}
		})
	}
	work.Go(func() {
		for l, n := newLoad(t, r, 5), 0; ctx.Err() == nil; n++ {
			l.describe("ou=open,ou=Services,o=nhs", fmt.Sprint(n))
			r.rules([]string{openRules, narrowRules}[n%2])
		}
	})
	work.Wait()
	r.rules(openRules)
	r.settled(0)
	for deadline := time.Now().Add(time.Minute); ldap.Connections(r.server) > 1; time.Sleep(10 * time.Millisecond) { // the one that writes
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are left", ldap.Connections(r.server))
		}
	}
	if n := ldap.Panics(r.server); n != 0 {
		t.Errorf("%v panics", n)
	}
	got, err := search(r.dial(rootDN, rootPassword), "ou=Services,o=nhs", "(objectClass=device)", "cn")
	must(t, err)
	pairs := map[string]int{} // of each transaction both entries are there, or none
	for _, e := range got {
		if name := e.GetAttributeValue("cn"); !strings.HasSuffix(name, "x") {
			pairs[name[:len(name)-1]]++
		}
	}
	for name, n := range pairs {
		if n != 2 {
			t.Errorf("the transaction of %s has left half of itself", name)
		}
	}
	t.Log(len(pairs), "transactions")
}

// giveUp is one connection's life: requests without waiting for answers, which
// are read and thrown away, and an end.
func (r *rig) giveUp(random *rand.Rand, name string) {
	w := openWire(r.t, r.plain, r.schema)
	defer w.conn.Close()
	transactions := make(chan []byte, 100)
	go w.pickTransactions(transactions)
	_, _ = w.conn.Write(bind(1, rootDN, rootPassword))
	var id []byte
	for n := range 4 + random.IntN(12) {
		at := 3 * (n + 1)
		persist := control("2.16.840.1.113730.3.4.3", true, []byte{0x30, 9, 2, 1, 15, 1, 1, 0, 1, 1, 0xFF})
		pdus := [][]byte{
			followAll(r.t, at), withControls(ask{base: "o=nhs", scope: 2, filter: "(objectClass=*)"}.pdu(r.t, at), persist),
			ask{base: "o=nhs", scope: 2, filter: "(cn=*e*)"}.pdu(r.t, at), envelope(at, 0x77, extended(txnStart, nil)),
			device(at, name+"x"), bind(at, reader, "reading"), bind(at, rootDN, rootPassword),
			envelope(at, 0x50, binary.BigEndian.AppendUint16(nil, uint16(3*(1+random.IntN(n+1))))),
			envelope(at, 0x77, extended("1.3.6.1.1.8", []byte{0x30, 4, 2, 2, 0, byte(3 * (1 + random.IntN(n+1)))})),
		}
		pdu := pdus[random.IntN(len(pdus))]
		if id == nil && random.IntN(2) == 0 {
			select {
			case id = <-transactions:
			default:
			}
		} else if id != nil {
			in := control(txnControl, true, id)
			pdu = slices.Concat(device(at, name+fmt.Sprint(n)+"a", in), device(at+1, name+fmt.Sprint(n)+"b", in), end(at+2, random.IntN(4) > 0, id))
			id = nil
		}
		if _, err := w.conn.Write(pdu); err != nil {
			return
		}
		if random.IntN(3) == 0 {
			time.Sleep(time.Duration(random.IntN(3)) * time.Millisecond)
		}
	}
	if random.IntN(2) == 0 {
		_, _ = w.conn.Write(envelope(200, 0x42, nil))
	}
}

// pickTransactions reads all answers and hands on the identifiers among them.
func (w *wire) pickTransactions(to chan<- []byte) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := w.conn.Read(buffer)
		if err != nil {
			return
		}
		for i := 0; i+18 <= n; i++ { // [11] OCTET STRING of 16
			if buffer[i] == 0x8B && buffer[i+1] == 16 && len(to) < cap(to) {
				to <- slices.Clone(buffer[i+2 : i+18])
			}
		}
	}
}
