package main

import "testing"

func TestSmallHeapsAreCollectedSeldomLargeOnesAsEver(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{0: 1000, 1 << 20: 1000, freeHeap / 4: 400, freeHeap: 100, 64 * freeHeap: 100} {
		if got := collectAt(live); got != want {
			t.Errorf("%d MiB alive: %d%%, want %d%%", live>>20, got, want)
		}
	}
}
