package ldap_test

import (
	"fmt"
	"testing"
	"time"

	"cardinal/directory/ldap"
)

// TestOneMessageIDDoesNotEscapeTheLimit: requests that share an id are counted
// one by one.
func TestOneMessageIDDoesNotEscapeTheLimit(t *testing.T) {
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
	for i := range 40 {
		all = append(all, add(7, fmt.Sprintf("cn=x%d,ou=Services,o=nhs", i), attribute("objectClass", "device"))...)
	}
	w.send(all)
	busy := 0
	for range 40 {
		if m := w.next(20 * time.Second); m == "#7 op69 code 51" {
			busy++
		}
	}
	if busy == 0 {
		t.Error("40 updates at once, none was told busy")
	}
}

// TestBindsWaitForAPlaceNotForEver: a flood of wrong passwords makes a bind
// busy, not hang.
func TestBindsWaitForAPlaceNotForEver(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, func(c *ldap.Config) { c.Limits.Hashing, c.Limits.HashingWait = 1, time.Millisecond })
	r.ldif(workforce)
	wires := make([]*wire, 30)
	for i := range wires {
		wires[i] = openWire(t, r.plain, r.schema)
	}
	for _, w := range wires {
		w.send(bind(1, alex, "wrong"))
	}
	codes := map[string]int{}
	for _, w := range wires {
		codes[w.until(1, 20*time.Second)]++
	}
	if codes["#1 op61 code 51"] == 0 || codes["#1 op61 code 49"] == 0 {
		t.Errorf("answers %v", codes)
	}
}
