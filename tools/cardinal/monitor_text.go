package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cardinal/directory/ldap"
)

// style is how a line of the screen looks.
type style uint8

const (
	styleNormal style = iota
	styleTitle
	styleHead  // of a table
	styleQuiet // what does not happen
	styleAlarm
)

// textLine is one line of what is shown.
type textLine struct {
	style style
	text  string
}

// plain is a view as text without looks.
func plain(name string, v *monitorView) string {
	var b strings.Builder
	for _, l := range lines(name, v) {
		b.WriteString(strings.TrimRight(printable(l.text), " ") + "\n")
	}
	return b.String()
}

// lines is what is shown, from the top.
func lines(name string, v *monitorView) []textLine {
	title := fmt.Sprintf("Cardinal  %s  up %s  %s", name, uptime(v.Uptime), v.At.Format("15:04:05"))
	out := []textLine{{styleTitle, title}}
	add := func(s style, format string, args ...any) {
		out = append(out, textLine{s, fmt.Sprintf(format, args...)})
	}
	if !v.Ready {
		add(styleAlarm, "NOT READY: %s", strings.Join(v.Why, "; "))
	}
	if r := v.Replica; r != nil {
		s := styleNormal
		if r.Age > r.Limit/2 || r.Quarantine {
			s = styleAlarm
		}
		add(s, "replica   position %s (%s changes/s)  age %.1f s  epoch %d", grouped(r.Position), amount(v.Changes), r.Age, r.Epoch)
	}
	if c := v.Clients; c != nil {
		add(styleNormal, "clients   %s connections, %s of them TLS (%s new/s)  %s in flight  in %s/s  out %s/s",
			grouped(uint64(c.Connections)), grouped(uint64(c.TLS)), amount(c.Accepted), grouped(uint64(c.InFlight)), octets(c.Received), octets(c.Sent))
	}
	out = append(out, textLine{})
	out = append(out, operationLines(v)...)
	out = append(out, textLine{})
	add(quietIf(v.OCSP.Rate == 0 && v.Downloads == 0), "OCSP      %s/s%s  stored answers %s/s  lists %s/s", amount(v.OCSP.Rate), parts(v.OCSP), amount(v.Stored), amount(v.Downloads))
	add(quietIf(v.Issuance.Rate == 0), "issuance  %s/s%s  %s requests in all", amount(v.Issuance.Rate), parts(v.Issuance), grouped(v.Issuance.Total))
	return append(out, costlyLines(v)...)
}

func operationLines(v *monitorView) []textLine {
	out := []textLine{{styleHead, fmt.Sprintf("%-10s %11s %9s %9s %9s %10s %14s", "operation", "per second", "p50", "p95", "p99", "failed/s", "total")}}
	kinds := slices.Clone(v.Kinds)
	slices.SortStableFunc(kinds, func(a, b kindView) int { return cmp.Compare(b.Total, a.Total) })
	for _, k := range kinds {
		if k.Total == 0 {
			continue
		}
		out = append(out, textLine{quietIf(k.Rate == 0), fmt.Sprintf("%-10s %11s %9s %9s %9s %10s %14s", k.Kind, amount(k.Rate),
			micros(k.Median), micros(k.P95), micros(k.P99), amount(k.Failed), grouped(k.Total))})
	}
	if c := v.Clients; c != nil {
		out = append(out, textLine{quietIf(c.Entries == 0), fmt.Sprintf("entries    %11s returned/s, %s looked at/s", amount(c.Entries), amount(c.Candidates))})
	}
	return out
}

func costlyLines(v *monitorView) []textLine {
	if v.Clients == nil || len(v.Costly) == 0 {
		return nil
	}
	out := []textLine{{}, {styleTitle, fmt.Sprintf("searches that look at much and find little  %s/s, looking at %s entries/s", amount(v.Clients.Costly), amount(v.Clients.CostlyTests))},
		{styleHead, fmt.Sprintf("%8s %10s %10s  %-20s %s", "count", "looked at", "returned", "index would help", "filter")}}
	for _, c := range v.Costly {
		out = append(out, textLine{styleNormal, fmt.Sprintf("%8s %10s %10s  %-20s %s", quantity(c.Count), quantity(c.Tested), quantity(c.Returned), helping(c), c.Filter+"  "+c.Scope+" "+c.Suffix)})
	}
	return out
}

func helping(c ldap.CostlySearch) string {
	if len(c.Index) == 0 {
		return "none"
	}
	return strings.Join(c.Index, ", ")
}

func quietIf(quiet bool) style {
	if quiet {
		return styleQuiet
	}
	return styleNormal
}

// parts are the results of a rate, in order.
func parts(r rateView) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(r.By)) {
		out = append(out, name+" "+amount(r.By[name]))
	}
	if len(out) == 0 {
		return ""
	}
	return " (" + strings.Join(out, ", ") + ")"
}

// amount is a number in four or five characters.
func amount(n float64) string {
	switch {
	case n == 0:
		return "0"
	case n < 9.95:
		return fmt.Sprintf("%.1f", n)
	case n < 9999.5:
		return fmt.Sprintf("%.0f", n)
	case n < 999_500:
		return fmt.Sprintf("%.1fk", n/1e3)
	case n < 999.5e6:
		return fmt.Sprintf("%.1fM", n/1e6)
	}
	return fmt.Sprintf("%.1fG", n/1e9)
}

// quantity is a number of things in four or five characters.
func quantity(n uint64) string {
	if n < 10 {
		return fmt.Sprint(n)
	}
	return amount(float64(n))
}

// octets is an amount of data.
func octets(n float64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%.0f B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", n/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", n/(1<<20))
}

// micros is a time of so many microseconds.
func micros(n float64) string {
	switch {
	case n == 0:
		return "-"
	case n < 999.5:
		return fmt.Sprintf("%.0f µs", n)
	case n < 999_500:
		return fmt.Sprintf("%.1f ms", n/1e3)
	}
	return fmt.Sprintf("%.1f s", n/1e6)
}

// grouped writes a number with commas.
func grouped(n uint64) string {
	s := fmt.Sprint(n)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

func uptime(seconds float64) string {
	d := time.Duration(seconds) * time.Second
	if d >= 24*time.Hour {
		return fmt.Sprintf("%d d %02d:%02d", d/(24*time.Hour), d/time.Hour%24, d/time.Minute%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", d/time.Hour, d/time.Minute%60, d/time.Second%60)
}
