package ldap_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	client "github.com/go-ldap/ldap/v3"

	"cardinal/directory"
	"cardinal/directory/ldap"
)

// TestSearchesHoldWhileOthersWrite lets searchers, pagers and abandoners work
// while entries come, change, move and go. What stands must always be found.
func TestSearchesHoldWhileOthersWrite(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, nil)
	r.ldif(workforce)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var work sync.WaitGroup
	run := func(n int, step func(c *client.Conn, i int)) {
		for id := range n {
			c := r.dial(rootDN, rootPassword)
			work.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					step(c, 1000*id+i)
				}
			})
		}
	}
	run(3, func(c *client.Conn, i int) { churn(t, c, i) })
	run(3, func(c *client.Conn, _ int) {
		if got, err := search(c, "o=nhs", "(uid=900000000017)"); err != nil || len(got) != 2 {
			t.Errorf("what stands is not found: %q, %v", names(got), err)
		}
	})
	run(2, func(c *client.Conn, _ int) {
		got, err := c.SearchWithPaging(client.NewSearchRequest("o=nhs", client.ScopeWholeSubtree, 0, 0, 0, false, "(objectClass=*)", []string{"1.1"}, nil), 2)
		if err != nil || len(got.Entries) < 8 {
			t.Errorf("pages: %v", err)
		}
	})
	run(1, func(c *client.Conn, i int) { // goes away in the middle
		w := openWire(t, r.plain, r.schema)
		w.send(bind(1, rootDN, rootPassword), ask{base: "o=nhs", scope: 2, filter: "(cn=*x*)"}.pdu(t, 2), envelope(3, 0x50, []byte{2}))
		if i%2 == 0 {
			_ = w.next(time.Second)
		}
		_ = w.conn.Close()
	})
	work.Wait()
	if n := ldap.Panics(r.server); n != 0 {
		t.Errorf("%v panics", n)
	}
}

// churn adds, changes, moves and deletes one entry.
func churn(t *testing.T, c *client.Conn, i int) {
	dn := fmt.Sprintf("cn=c%d,ou=Services,o=nhs", i)
	add := client.NewAddRequest(dn, nil)
	add.Attribute("objectClass", []string{"device"})
	add.Attribute("description", []string{"comes and goes"})
	mod := client.NewModifyRequest(dn, nil)
	mod.Replace("description", []string{"changed"})
	wants(t, "add", c.Add(add), 0)
	wants(t, "modify", c.Modify(mod), 0)
	wants(t, "move", c.ModifyDN(client.NewModifyDNRequest(dn, fmt.Sprintf("cn=d%d", i), true, "o=nhs")), 0)
	wants(t, "delete", c.Del(client.NewDelRequest(fmt.Sprintf("cn=d%d,o=nhs", i), nil)), 0)
}

func TestStalledReaderHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, func(c *ldap.Config) { c.Limits.Write = 2 * time.Second })
	r.ldif(workforce)
	for i := range 20 {
		dn, _ := directory.ParseDN(fmt.Sprintf("cn=big%d,ou=Services,o=nhs", i))
		e := &directory.Entry{DN: dn}
		e.PutString("objectClass", "device")
		e.PutString("description", fmt.Sprintf("%0100000d", i))
		p, err := r.updates.Add(t.Context(), r.issuance, e)
		must(t, err)
		must(t, r.replica.WaitFor(t.Context(), p))
	}
	w := openWire(t, r.plain, r.schema)
	w.send(bind(1, rootDN, rootPassword))
	if got := w.until(1, time.Minute); got != "#1 op61 code 0" {
		t.Fatal(got)
	}
	for id := 2; id < 22; id++ { // 40 MB of answers that are never read
		w.send(ask{base: "o=nhs", scope: 2, filter: "(objectClass=*)"}.pdu(t, id))
	}
	c := r.dial(rootDN, rootPassword)
	add := client.NewAddRequest("cn=meanwhile,ou=Services,o=nhs", nil)
	add.Attribute("objectClass", []string{"device"})
	must(t, c.Add(add))
	if got, err := search(c, "o=nhs", "(cn=meanwhile)"); err != nil || len(got) != 1 {
		t.Errorf("got %q, %v", names(got), err)
	}
	deadline := time.Now().Add(time.Minute)
	for ldap.Connections(r.server) > 1 {
		if time.Now().After(deadline) {
			t.Fatal("the connection that does not read is still there")
		}
		time.Sleep(50 * time.Millisecond)
	}
}
