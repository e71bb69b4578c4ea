package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// figure is one line of what a run found: times in milliseconds, or one value.
type figure struct {
	Name   string   `json:"figure"`
	Where  string   `json:"where,omitempty"` // node, or what it was among
	Count  int      `json:"n,omitempty"`
	P50    float64  `json:"p50_ms,omitempty"`
	P99    float64  `json:"p99_ms,omitempty"`
	Max    float64  `json:"max_ms,omitempty"`
	Value  *float64 `json:"value,omitempty"`
	Unit   string   `json:"unit,omitempty"`
	Goal   *float64 `json:"goal,omitempty"` // what Met compares with: at most
	Of     string   `json:"of,omitempty"`   // which figure the goal is for, p99_ms unless told
	Met    *bool    `json:"met,omitempty"`
	Counts []bucket `json:"histogram,omitempty"`
}

// bucket counts what took up to so many milliseconds and more than the one
// before; the last has no bound.
type bucket struct {
	Upto  float64 `json:"upto_ms,omitempty"`
	Count int     `json:"n"`
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// timesOf sums up how long something took.
func timesOf(name, where string, took []time.Duration) figure {
	f := figure{Name: name, Where: where, Count: len(took)}
	if len(took) == 0 {
		return f
	}
	sorted := slices.Sorted(slices.Values(took))
	at := func(share float64) float64 { return milliseconds(sorted[int(math.Ceil(share*float64(len(sorted))))-1]) }
	f.P50, f.P99, f.Max = at(0.50), at(0.99), at(1)
	return f
}

func valueOf(name, unit string, value float64) figure {
	return figure{Name: name, Unit: unit, Value: &value}
}

// atMost sets the goal of a figure: its value, or else its p99, is to be at most this.
func (f figure) atMost(goal float64) figure {
	is := f.P99
	if f.Value != nil {
		is = *f.Value
	}
	met := is <= goal && (f.Value != nil || f.Count > 0)
	f.Goal, f.Met = &goal, &met
	return f
}

// edges are the buckets of a histogram of times between a write and a distant
// read, in milliseconds.
func edges() []float64 {
	return []float64{1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 100, 200, 500, 1000, 2000}
}

// counted adds a histogram, from the first bucket that holds anything.
func (f figure) counted(took []time.Duration) figure {
	bounds := edges()
	counts := make([]int, len(bounds)+1)
	for _, d := range took {
		at, _ := slices.BinarySearch(bounds, milliseconds(d))
		counts[at]++
	}
	for i, n := range counts {
		if n == 0 && (len(f.Counts) == 0 || i == len(bounds)) {
			continue
		}
		b := bucket{Count: n}
		if i < len(bounds) {
			b.Upto = bounds[i]
		}
		f.Counts = append(f.Counts, b)
	}
	for n := len(f.Counts); n > 0 && f.Counts[n-1].Count == 0; n-- {
		f.Counts = f.Counts[:n-1]
	}
	return f
}

// printFigures prints a line of JSON for each figure, then a summary for people.
func printFigures(out io.Writer, all []figure) error {
	lines := json.NewEncoder(out)
	for _, f := range all {
		if err := lines.Encode(f); err != nil {
			return err
		}
	}
	for _, f := range all {
		if _, err := fmt.Fprintln(out, f.text()); err != nil {
			return err
		}
	}
	return nil
}

func (f figure) text() string {
	var b strings.Builder
	b.WriteString("  " + f.Name)
	if f.Where != "" {
		b.WriteString(", " + f.Where)
	}
	switch {
	case f.Value != nil:
		fmt.Fprintf(&b, ": %.6g %s", *f.Value, f.Unit)
	case f.Count == 0:
		b.WriteString(": nothing was measured")
	default:
		fmt.Fprintf(&b, ": p50 %.2f ms, p99 %.2f ms, ", f.P50, f.P99)
		if f.Max > 0 {
			fmt.Fprintf(&b, "at most %.2f ms, ", f.Max)
		}
		fmt.Fprintf(&b, "%d times", f.Count)
	}
	if f.Met != nil {
		fmt.Fprintf(&b, "; goal %.6g: %s", *f.Goal, map[bool]string{true: "met", false: "MISSED"}[*f.Met])
	}
	most := 1
	for _, c := range f.Counts {
		most = max(most, c.Count)
	}
	for _, c := range f.Counts {
		upto := fmt.Sprintf("≤ %g", c.Upto)
		if c.Upto == 0 {
			upto = "more"
		}
		fmt.Fprintf(&b, "\n    %8s ms %6d %s", upto, c.Count, strings.Repeat("#", (c.Count*50+most-1)/most))
	}
	return b.String()
}
