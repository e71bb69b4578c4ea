//go:build pcsc && linux

package main

import (
	"encoding/json"
	"testing"
	"time"

	"cardinal/issuance/api"
	"cardinal/issuance/card"
	"cardinal/issuance/card/cardtest"
)

// TestIssueToACardInAReader goes the whole way a desk goes: reader daemon,
// PC/SC, card, API.
func TestIssueToACardInAReader(t *testing.T) {
	reader := cardtest.InReader(t)
	if reader == nil {
		return
	}
	o := openOffice(t)
	t.Setenv("XDG_CONFIG_HOME", o.folder) // where the pending request is kept
	applet, err := card.OpenApplet(o.file("alex.card"), card.Options{Create: true})
	check(t, err)
	t.Cleanup(func() { _ = applet.Close() })
	reader.Insert(t, applet)
	uuid := o.Person("Alex", "Example")
	args := []string{"--reader", cardtest.ReaderName, "--url", o.url, "--as", o.file("manager.pem")}
	for end := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		if _, err = o.station("", "show", "--reader", cardtest.ReaderName); err == nil || time.Now().After(end) {
			break
		}
	}
	check(t, err)
	out, err := o.station(card.DefaultPIN+"\n", append([]string{"issue", "--case", o.Approved(uuid).ID, "--hand-over"}, args...)...)
	check(t, err)
	var r result
	check(t, json.Unmarshal([]byte(out), &r))
	if r.State != api.CardActive {
		t.Errorf("issued %s", out)
	}
	out, err = o.station("", append([]string{"show"}, args...)...)
	check(t, err)
	var v shown
	check(t, json.Unmarshal([]byte(out), &v))
	if v.Card != r.Card || v.Authentication.Subject != string(uuid) {
		t.Errorf("shown %s", out)
	}
}
