package main

import "testing"

func TestOnlyARunThatFoundNothingIsRunAgain(t *testing.T) {
	t.Parallel()
	const over = "fuzz: elapsed: 5s, execs: 9 (2/sec)\n--- FAIL: FuzzX (5.08s)\n    context deadline exceeded\nFAIL\n"
	for said, want := range map[string]bool{
		over: true,
		"--- FAIL: FuzzX (1.2s)\n    --- FAIL: FuzzX (0.0s)\n        x_test.go:9: context deadline exceeded\n    Failing input written to testdata/fuzz/FuzzX/1\n": false,
		"--- FAIL: FuzzX (1.2s)\n    fuzzing process hung or terminated unexpectedly: exit status 2\n    Failing input written to testdata\n":                      false,
		"--- FAIL: FuzzX (5.08s)\n    context deadline exceeded\npanic: x\n":                                                                                       false,
		"ok": false,
	} {
		if got := overByItsClock([]byte(said)); got != want {
			t.Errorf("%q: %v", said, got)
		}
	}
}

func TestAnInputAWorkerWasStuckOnIsTriedAgain(t *testing.T) {
	t.Parallel()
	const stuck = "--- FAIL: FuzzX (12.2s)\n    fuzzing process hung or terminated unexpectedly: exit status 2\n    Failing input written to testdata/fuzz/FuzzX/1f\n    To re-run:\n"
	for said, want := range map[string]string{
		stuck:                "testdata/fuzz/FuzzX/1f",
		"panic: x\n" + stuck: "",
		"--- FAIL: FuzzX (1.2s)\n    --- FAIL: FuzzX (0.0s)\n        x_test.go:9: it broke\n    Failing input written to testdata/fuzz/FuzzX/1f\n": "",
		"ok": "",
	} {
		if got := stuckOn([]byte(said)); got != want {
			t.Errorf("%q: %q", said, got)
		}
	}
}
