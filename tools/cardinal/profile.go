package main

import (
	"bytes"
	"context"
	"net/http"
	"runtime/pprof"
	"strconv"
	"time"
)

const (
	// profileUsual and profileMost are how long the processor is watched if
	// nobody says, and at most: the profile is held in memory, and whoever asks
	// waits.
	profileUsual = 10 * time.Second
	profileMost  = 5 * time.Minute
)

// profile answers with where the processor's time went during the next seconds
// of the query, in the form that go tool pprof reads. It names functions of the
// program and no data. There is one at a time in a process; to watch costs the
// node about a hundredth of its speed. It ends early when the node does.
func profile(node context.Context, w http.ResponseWriter, r *http.Request) {
	length := profileUsual
	if text := r.URL.Query().Get("seconds"); text != "" {
		seconds, err := strconv.Atoi(text)
		if length = time.Duration(seconds) * time.Second; err != nil || length < time.Second || length > profileMost {
			http.Error(w, "seconds must be a whole number from 1 to "+strconv.Itoa(int(profileMost/time.Second)), http.StatusBadRequest)
			return
		}
	}
	var out bytes.Buffer
	if err := pprof.StartCPUProfile(&out); err != nil {
		http.Error(w, "a profile is being made already", http.StatusConflict)
		return
	}
	select {
	case <-time.After(length):
	case <-r.Context().Done():
	case <-node.Done():
	}
	pprof.StopCPUProfile()
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(out.Bytes())
}
