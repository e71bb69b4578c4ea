package ldap_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/go-ldap/ldap/v3"

	"cardinal/directory/ldap"
)

// TestFollowersComeAndGoWhileOthersWrite lets followers be abandoned, closed
// and stalled while entries come, change, move and go. One that stays must know
// in the end what is there.
func TestFollowersComeAndGoWhileOthersWrite(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, nil)
	r.ldif(workforce)
	stays := r.sync(r.dial(rootDN, rootPassword), nil, client.SyncRequestModeRefreshAndPersist, "(objectClass=organizationalUnit)")
	known := map[string]bool{}
	r.stall()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var work sync.WaitGroup
	work.Go(func() {
		for l := newLoad(t, r, 5); ctx.Err() == nil; {
			l.step()
		}
	})
	for id := range 2 {
		w := openWire(t, r.plain, r.schema)
		t.Cleanup(func() { _ = w.conn.Close() })
		w.send(bind(1, reader, "reading"))
		work.Go(func() { abandonFollowing(ctx, t, w, id == 0) })
	}
	work.Go(func() {
		for ctx.Err() == nil {
			c, err := client.DialURL("ldap://" + r.plain)
			if err != nil || c.Bind(reader, "reading") != nil {
				continue
			}
			response := c.SearchAsync(ctx, client.NewSearchRequest("o=nhs", 2, 0, 0, 0, false, "(objectClass=*)", nil,
				[]client.Control{client.NewControlString("2.16.840.1.113730.3.4.3", true, "\x30\x09\x02\x01\x0f\x01\x01\x00\x01\x01\xff")}), 10)
			response.Next()
			_ = c.Close()
		}
	})
	work.Wait()
	l := newLoad(t, r, 6)
	l.add("ou=end,ou=Services,o=nhs", "x")
	for line := stays.next(); line != "1 ou=end,ou=Services,o=nhs"; line = stays.next() {
		if line == "ended" {
			t.Fatal("the one that stays was sent away")
		}
		learn(known, line)
	}
	known["ou=end,ou=services,o=nhs"] = true
	l.settles(known)
	if n := ldap.Panics(r.server); n != 0 {
		t.Errorf("%v panics", n)
	}
	r.settled(2) // the one that stays, and the one that never reads
}

// learn applies one line of what a follower is told to the names he knows.
func learn(known map[string]bool, line string) {
	state, dn, _ := strings.Cut(line, " ")
	switch state {
	case "1", "2":
		known[strings.ToLower(dn)] = true
	case "3":
		delete(known, strings.ToLower(dn))
	}
}

// settles compares how many entries a follower knows with what there is: names
// below a subtree that moved are told by the move alone.
func (l *load) settles(known map[string]bool) {
	l.t.Helper()
	got, err := search(l.conn, "o=nhs", "(objectClass=organizationalUnit)", "1.1")
	must(l.t, err)
	var missing []string
	for _, dn := range names(got) {
		if strings.Count(dn, ",") <= 2 && !known[strings.ToLower(dn)] {
			missing = append(missing, dn)
		}
	}
	if slices.Sort(missing); len(missing) > 0 {
		l.t.Errorf("the follower does not know %q", missing)
	}
}

// abandonFollowing follows again and again and gives up, at once or after the
// first message.
func abandonFollowing(ctx context.Context, t *testing.T, w *wire, atOnce bool) {
	answered := make(chan bool, 1)
	go func() {
		for b := make([]byte, 64<<10); ; {
			if _, err := w.conn.Read(b); err != nil {
				return
			}
			select {
			case answered <- true:
			default:
			}
		}
	}()
	for i := 2; ctx.Err() == nil; i += 2 {
		w.send(followAll(t, i))
		if !atOnce {
			<-answered
		}
		w.send(envelope(i+1, 0x50, []byte{byte(i >> 16 & 0x7F), byte(i >> 8), byte(i)}))
	}
}

// followAll is a content sync of everything that persists.
func followAll(t testing.TB, id int) []byte {
	return withControls(ask{base: "o=nhs", scope: 2, filter: "(objectClass=*)"}.pdu(t, id),
		control("1.3.6.1.4.1.4203.1.9.1.1", true, []byte{0x30, 3, 0x0A, 1, 3}))
}

// stall follows everything and never reads.
func (r *rig) stall() {
	conn, err := net.Dial("tcp", r.plain)
	must(r.t, err)
	r.t.Cleanup(func() { _ = conn.Close() })
	_, err = conn.Write(slices.Concat(bind(1, rootDN, rootPassword), followAll(r.t, 2)))
	must(r.t, err)
}
