package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestProfileIsOneAtATimeAndEndsWithTheNode(t *testing.T) {
	node, stop := context.WithCancel(t.Context())
	ask := func(query string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/profile"+query, nil)
		profile(node, w, r)
		return w
	}
	for _, query := range []string{"?seconds=0", "?seconds=301", "?seconds=x", "?seconds=1.5"} {
		if w := ask(query); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", query, w.Code)
		}
	}
	long := make(chan *httptest.ResponseRecorder)
	go func() {
		w := ask("?seconds=300")
		for w.Code == http.StatusConflict { // the short one came first
			w = ask("?seconds=300")
		}
		long <- w
	}()
	for ask("?seconds=1").Code != http.StatusConflict { // until the long one has begun
	}
	stop()
	w := <-long
	packed, err := gzip.NewReader(bytes.NewReader(w.Body.Bytes()))
	if w.Code != http.StatusOK || err != nil {
		t.Fatalf("%d: %v", w.Code, err)
	}
	if all, err := io.ReadAll(packed); err != nil || !bytes.Contains(all, []byte("nanoseconds")) {
		t.Errorf("no profile of time: %d octets, %v", len(all), err)
	}
}
