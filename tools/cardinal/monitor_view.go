package main

import (
	"maps"
	"slices"
	"time"

	"cardinal/directory/ldap"
)

// monitorView is what happened between two readings of a node, and how it
// stands at the second. Rates are a second's; times are microseconds, 0 where
// nothing happened.
type monitorView struct {
	At        time.Time           `json:"at"`
	Uptime    float64             `json:"uptime_seconds"`
	Ready     bool                `json:"ready"`
	Why       []string            `json:"why,omitempty"`
	Replica   *replicaReport      `json:"replica,omitempty"`
	Changes   float64             `json:"changes_per_second"` // of the journal, applied
	Clients   *clientsView        `json:"clients,omitempty"`
	Kinds     []kindView          `json:"operations"`
	OCSP      rateView            `json:"ocsp"`
	Stored    float64             `json:"ocsp_stored_per_second"`
	Downloads float64             `json:"downloads_per_second"`
	Issuance  rateView            `json:"issuance"`
	Costly    []ldap.CostlySearch `json:"unindexed,omitempty"`
}

type clientsView struct {
	Connections int64   `json:"connections"`
	TLS         int64   `json:"tls"`
	InFlight    int64   `json:"in_flight"`
	Accepted    float64 `json:"accepted_per_second"`
	Received    float64 `json:"received_per_second"` // octets
	Sent        float64 `json:"sent_per_second"`     // octets
	Entries     float64 `json:"entries_per_second"`
	Candidates  float64 `json:"candidates_per_second"`
	Costly      float64 `json:"unindexed_per_second"`
	CostlyTests float64 `json:"unindexed_candidates_per_second"`
}

// kindView is one kind of operation.
type kindView struct {
	Kind   string  `json:"kind"`
	Rate   float64 `json:"per_second"`
	Failed float64 `json:"failed_per_second"`
	Median float64 `json:"p50_us"`
	P95    float64 `json:"p95_us"`
	P99    float64 `json:"p99_us"`
	Total  uint64  `json:"total"`
}

// rateView is a rate, and its parts by result.
type rateView struct {
	Rate  float64            `json:"per_second"`
	Total uint64             `json:"total"`
	By    map[string]float64 `json:"by,omitempty"`
}

// viewOf makes rates of two readings; of one reading twice, all are 0.
func viewOf(before, now *nodeReport) *monitorView {
	span := now.At.Sub(before.At).Seconds()
	v := &monitorView{At: now.At, Ready: now.Ready, Why: now.Why, Replica: now.Replica,
		OCSP: ratesOf(before.OCSP, now.OCSP, span), Issuance: ratesOf(before.Issuance, now.Issuance, span),
		Stored: rate(before.Stored, now.Stored, span), Downloads: rate(before.Downloads, now.Downloads, span)}
	if before.Replica != nil && now.Replica != nil {
		v.Changes = rate(before.Replica.Position, now.Replica.Position, span)
	}
	if now.Directory == nil {
		return v
	}
	d, old := now.Directory, before.Directory
	if old == nil || !old.Began.Equal(d.Began) { // it began anew: nothing before counts
		old, span = &ldap.Report{}, now.At.Sub(d.Began).Seconds()
	}
	v.Uptime, v.Costly = now.At.Sub(d.Began).Seconds(), d.Costly
	v.Clients = &clientsView{Connections: d.Connections, TLS: d.TLS, InFlight: d.InFlight,
		Accepted: rate(old.Accepted, d.Accepted, span), Received: rate(old.Received, d.Received, span), Sent: rate(old.Sent, d.Sent, span),
		Entries: rate(old.Entries, d.Entries, span), Candidates: rate(old.Candidates, d.Candidates, span),
		Costly: rate(old.CostlySearches, d.CostlySearches, span), CostlyTests: rate(old.CostlyTested, d.CostlyTested, span)}
	for i, o := range d.Operations {
		var earlier ldap.OperationReport
		if i < len(old.Operations) && old.Operations[i].Kind == o.Kind {
			earlier = old.Operations[i]
		}
		v.Kinds = append(v.Kinds, kindOf(earlier, o, span))
	}
	return v
}

func kindOf(before, now ldap.OperationReport, span float64) kindView {
	s := now.Spans.Since(before.Spans)
	micros := func(share float64) float64 { return float64(s.Quantile(share).Nanoseconds()) / 1e3 }
	return kindView{Kind: now.Kind, Total: now.Spans.Count, Rate: rate(before.Spans.Count, now.Spans.Count, span),
		Failed: rate(before.Failed, now.Failed, span), Median: micros(0.5), P95: micros(0.95), P99: micros(0.99)}
}

// rate is what was added a second; a counter that fell began anew.
func rate(before, now uint64, span float64) float64 {
	if span <= 0 || now < before {
		return 0
	}
	return float64(now-before) / span
}

func ratesOf(before, now map[string]uint64, span float64) rateView {
	v := rateView{}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		v.Total += now[name]
		if r := rate(before[name], now[name], span); r > 0 {
			if v.By == nil {
				v.By = map[string]float64{}
			}
			v.By[name] = r
			v.Rate += r
		}
	}
	return v
}
