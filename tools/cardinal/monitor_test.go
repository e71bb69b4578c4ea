package main

import (
	"strings"
	"testing"
	"time"

	"cardinal/directory/ldap"
)

// reading is what a node might say of itself.
func reading(at time.Time, searches, failed, position uint64) *nodeReport {
	d := &ldap.Report{Began: at.Truncate(time.Hour), Connections: 12, TLS: 3, Sent: 1000 * searches, Entries: 2 * searches, Candidates: 3 * searches,
		Costly: []ldap.CostlySearch{{Suffix: "o=nhs", Scope: "sub", Filter: "(description=?)\x1b[2J", Count: 3, Tested: 30_000, Index: []string{"description"}},
			{Suffix: "o=nhs", Scope: "sub", Filter: "(description=*?)", Count: 1, Tested: 10_000}}}
	o := ldap.OperationReport{Kind: "search", Begun: searches, Failed: failed}
	o.Spans.Count, o.Spans.Buckets[20] = searches, searches
	d.Operations = []ldap.OperationReport{{Kind: "bind"}, o}
	return &nodeReport{At: at, Ready: true, Replica: &replicaReport{Epoch: 1, Position: position, Age: 0.4, Limit: 60}, Directory: d,
		OCSP: map[string]uint64{"good": 5 * searches, "revoked": 1}, Issuance: map[string]uint64{"200": 4}}
}

func TestMonitorMakesRatesOfTwoReadings(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 23, 41, 7, 0, time.UTC)
	before, now := reading(at, 1000, 10, 50), reading(at.Add(2*time.Second), 3000, 30, 54)
	v := viewOf(before, now)
	search := v.Kinds[1]
	if search.Rate != 1000 || search.Failed != 10 || search.Total != 3000 || search.Median < 40 || search.P99 < search.Median {
		t.Errorf("%+v", search)
	}
	if v.Changes != 2 || v.Clients.Entries != 2000 || v.Clients.Sent != 1e6 || v.OCSP.Rate != 5000 || v.OCSP.By["good"] != 5000 || v.Issuance.Rate != 0 {
		t.Errorf("%+v, clients %+v", v, v.Clients)
	}
	text := plain("127.0.0.1:9090", v)
	if strings.Contains(text, "\x1b") {
		t.Errorf("a control character came through:\n%q", text)
	}
	for _, want := range []string{"Cardinal  127.0.0.1:9090  up 0:41:09  23:41:09\n", "position 54 (2.0 changes/s)  age 0.4 s", "12 connections, 3 of them TLS",
		"search            1000", "          3,000\n", "OCSP      5000/s (good 5000)", "3      30.0k          0  description", "1      10.0k          0  none "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	still := viewOf(now, now)
	if still.Kinds[1].Rate != 0 || still.Kinds[1].Median != 0 {
		t.Errorf("nothing happened: %+v", still.Kinds[1])
	}
	fresh := reading(at.Add(time.Hour), 100, 0, 60)
	if v := viewOf(now, fresh); v.Kinds[1].Rate <= 0 || v.Kinds[1].Rate > 1 || v.Kinds[1].Total != 100 {
		t.Errorf("a node that began anew: %+v", v.Kinds[1])
	}
	now.Ready, now.Why, now.Directory = false, []string{"the replica is catching up"}, nil
	if text := plain("x", viewOf(before, now)); !strings.Contains(text, "NOT READY: the replica is catching up") {
		t.Errorf("got\n%s", text)
	}
}

func TestScreenLinesFitAndHoldNoControl(t *testing.T) {
	t.Parallel()
	now := reading(time.Now(), 3000, 30, 54)
	for _, l := range lines("a\x1b]0;b", viewOf(now, now)) {
		for _, width := range []int{1, 20, 80, 200} {
			if got := []rune(cut(l.text, width)); len(got) > width || strings.ContainsAny(string(got), "\x1b\x07\n") {
				t.Errorf("%d: %q", width, string(got))
			}
		}
	}
	for n, want := range map[float64]string{0: "0", 0.04: "0.0", 9.94: "9.9", 9.96: "10", 9999: "9999", 9999.9: "10.0k", 999_400: "999.4k", 999_600: "1.0M", 2e9: "2.0G"} {
		if got := amount(n); got != want {
			t.Errorf("%v is shown as %s, want %s", n, got, want)
		}
	}
	if got := uptime(273_120); got != "3 d 03:52" {
		t.Errorf("uptime %s", got)
	}
	if got := grouped(1234567) + grouped(12) + micros(1500) + micros(0) + octets(1<<20); got != "1,234,567121.5 ms-1.0 MiB" {
		t.Errorf("got %s", got)
	}
}
