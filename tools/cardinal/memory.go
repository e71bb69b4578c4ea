package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// freeHeap is how much a serving process may allocate between two collections
// of garbage, whatever it holds. A read node holds little of its own (the copy
// is mapped from its file), and by Go's default rule a small heap is collected
// dozens of times a second under load, for a tenth of all work.
const freeHeap = 64 << 20

// tuneCollector lets the heap grow by freeHeap, or by its own size if that is
// more, until it is collected. It begins anew after each collection, at the
// cost of one small object. GOGC in the environment is an operator's choice
// and stays in force; GOMEMLIMIT works beside it.
func tuneCollector() {
	if os.Getenv("GOGC") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	percent := 100
	var again func()
	again = func() {
		metrics.Read(live)
		if now := collectAt(live[0].Value.Uint64()); now != percent {
			percent = now
			debug.SetGCPercent(percent)
		}
		mark := new([16]byte)
		runtime.SetFinalizer(mark, func(*[16]byte) { again() })
	}
	again()
}

// collectAt is how much larger than what is alive the heap may become, in
// percent.
func collectAt(live uint64) int {
	const most = 1000 // a heap that has just begun says little
	return int(math.Max(100, math.Min(most, 100*freeHeap/float64(max(live, 1)))))
}
