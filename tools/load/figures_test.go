package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestFiguresAreJudgedByTheirGoals(t *testing.T) {
	t.Parallel()
	var took []time.Duration
	for i := range 100 {
		took = append(took, time.Duration(100-i)*time.Millisecond)
	}
	f := timesOf("x", "here", took)
	if f.P50 != 50 || f.P99 != 99 || f.Max != 100 || f.Count != 100 {
		t.Errorf("%+v", f)
	}
	for name, test := range map[string]struct {
		f   figure
		met bool
	}{
		"as quick as it must be": {f.atMost(99), true},
		"too slow":               {f.atMost(98), false},
		"never measured":         {timesOf("x", "", nil).atMost(1), false},
		"a value":                {valueOf("x", "", 0).atMost(0), true},
		"too large a value":      {valueOf("x", "", 1).atMost(0), false},
	} {
		if *test.f.Met != test.met {
			t.Errorf("%s: %+v", name, test.f)
		}
	}
}

func TestAHistogramCountsEverything(t *testing.T) {
	t.Parallel()
	took := []time.Duration{4 * time.Millisecond, 5 * time.Millisecond, 6 * time.Millisecond, 30 * time.Millisecond, time.Minute}
	f := timesOf("x", "", took).counted(took)
	sum := 0
	for _, b := range f.Counts {
		sum += b.Count
	}
	first, last := f.Counts[0], f.Counts[len(f.Counts)-1]
	if sum != len(took) || first != (bucket{Upto: 5, Count: 2}) || last != (bucket{Count: 1}) {
		t.Errorf("%+v", f.Counts)
	}
	var out bytes.Buffer
	if err := printFigures(&out, []figure{f, valueOf("y", "s", 3)}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	var again figure
	if err := json.Unmarshal([]byte(lines[0]), &again); err != nil || again.Count != len(took) || len(again.Counts) != len(f.Counts) {
		t.Errorf("%v: %s", err, lines[0])
	}
	if !strings.Contains(out.String(), "y: 3 s") || !strings.Contains(out.String(), "more ms") {
		t.Errorf("printed %s", out.String())
	}
}

func TestASteadyLoadKeepsItsRateAndCountsWhoHadToWait(t *testing.T) {
	t.Parallel()
	slow := &stalling{}
	c, err := (&load{connections: 1}).assemble(func(int) (worker, error) { return slow, nil })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	done, err := c.steady(t.Context(), 500*time.Millisecond, 100)
	if err != nil || len(done.took) != 50 || done.errors > 0 {
		t.Fatalf("%d operations, %v", len(done.took), err)
	}
	waited := 0
	for _, d := range done.took {
		if d > 20*time.Millisecond {
			waited++
		}
	}
	if waited < 5 {
		t.Errorf("one stall of 100 ms held up %d operations", waited)
	}
}

// stalling stops once for a tenth of a second.
type stalling struct{ n int }

func (s *stalling) Close() error { return nil }
func (s *stalling) operate(context.Context, int) error {
	if s.n++; s.n == 10 {
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}
