package ldap_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestNoEntryComesAfterTheEndOfItsSearch: a search that goes on elsewhere has
// its first entries gathered where the requests that came with it are answered;
// they must be written before it ends all the same.
func TestNoEntryComesAfterTheEndOfItsSearch(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, nil)
	var text strings.Builder
	text.WriteString(workforce)
	const devices = 260 // more than a search tests where it begins
	for i := range devices {
		fmt.Fprintf(&text, "\ndn: cn=d%d,ou=Services,o=nhs\nobjectClass: device\ncn: d%d\n", i, i)
	}
	r.ldif(text.String())
	w := openWire(t, r.plain, r.schema)
	w.send(bind(1, rootDN, rootPassword))
	_ = w.until(1, 10*time.Second)
	all := ask{base: "ou=Services,o=nhs", scope: 1, filter: "(objectClass=device)", attrs: []string{"1.1"}}
	few := ask{base: "o=nhs", scope: 2, filter: "(&(cn=d1*)(!(description=*))(!(owner=*)))", attrs: []string{"1.1"}}
	pdus := all.pdu(t, 2)
	for id := range 25 {
		pdus = append(pdus, few.pdu(t, 3+id)...)
	}
	for range 5 {
		w.send(pdus)
		if entries := entriesBefore(t, w, 26); entries != devices {
			t.Fatalf("%d of %d entries before the end", entries, devices)
		}
	}
}

// entriesBefore reads the answers to so many searches and counts the entries of
// number 2 up to its end.
func entriesBefore(t *testing.T, w *wire, searches int) (entries int) {
	t.Helper()
	all := 0
	for ended := 0; ended < searches; {
		m := w.next(time.Minute)
		switch {
		case strings.HasPrefix(m, "#2 entry"):
			all++
		case strings.Contains(m, "op65"):
			ended++
		case m == "closed" || m == "silent":
			t.Fatal(m)
		}
		if m == "#2 op65 code 0" {
			entries = all
		}
	}
	return entries
}
