// Package feedtest is the contract of journal.Feed as a suite. Every feed (in memory, over a ledger, over the network)
// runs it, so that a follower may rely on the same answers from each.
package feedtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"cardinal/internal/journal"
)

// patience is how long a test waits for what should happen at once.
const patience = time.Minute

// Writer is the other end of the feed under test.
type Writer struct {
	// Append commits bodies of one kind as one transaction and returns the position of the last change.
	Append func(kind journal.Kind, version uint8, bodies ...[]byte) (journal.Position, error)
	// PutContent stores bytes durably.
	PutContent func(data []byte) (journal.Hash, error)
	// Beat moves the head's time.
	Beat func() error
}

// Run tests a feed. Each call of open gives an empty one and its writer.
func Run(t *testing.T, open func(t *testing.T) (journal.Feed, Writer)) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, f journal.Feed, w Writer)
	}{
		{"EmptyFeedStandsAtZero", emptyFeed},
		{"ReadReturnsWhatWasWritten", readsBack},
		{"ReadKeepsTransactionsWhole", wholeTransactions},
		{"ReadAtEveryPositionContinuesTheChain", everyPosition},
		{"ReadBeyondTheHeadIsEmpty", beyondHead},
		{"WaitReturnsAtOnceWhenSomethingIsNewer", waitNewer},
		{"WaitWakesOnAppend", waitAppend},
		{"WaitWakesOnHeartbeat", waitBeat},
		{"WaitEndsWithItsContext", waitContext},
		{"ContentIsReadByHash", content},
		{"CallerMayChangeWhatItRead", ownership},
		{"VerifyChainAgreesWithTheHead", verifies},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, w := open(t)
			test.run(t, f, w)
		})
	}
}

func write(t *testing.T, w Writer, bodies ...string) journal.Position {
	t.Helper()
	raw := make([][]byte, 0, len(bodies))
	for _, b := range bodies {
		raw = append(raw, []byte(b))
	}
	p, err := w.Append(journal.KindEntryAdded, 1, raw...)
	if err != nil {
		t.Fatalf("appending: %v", err)
	}
	return p
}

func head(t *testing.T, f journal.Feed) journal.Head {
	t.Helper()
	h, err := f.Head(t.Context())
	if err != nil {
		t.Fatalf("reading the head: %v", err)
	}
	return h
}

func read(t *testing.T, f journal.Feed, after journal.Position, limit int) []journal.Change {
	t.Helper()
	changes, err := f.Read(t.Context(), after, limit)
	if err != nil {
		t.Fatalf("reading after %d: %v", after, err)
	}
	return changes
}

func emptyFeed(t *testing.T, f journal.Feed, _ Writer) {
	h := head(t, f)
	if h.Epoch != 1 || h.Position != 0 || h.Link != (journal.Hash{}) || h.Quarantine {
		t.Errorf("head of an empty feed: %+v", h)
	}
	if got := read(t, f, 0, 10); len(got) != 0 {
		t.Errorf("an empty feed has %d changes", len(got))
	}
}

func readsBack(t *testing.T, f journal.Feed, w Writer) {
	before := time.Now().Add(-10 * time.Second)
	write(t, w, "one")
	p := write(t, w, "")
	got := read(t, f, 0, 10)
	if len(got) != 2 || p != 2 {
		t.Fatalf("%d changes, last position %d", len(got), p)
	}
	c := got[0]
	if c.Position != 1 || c.Kind != journal.KindEntryAdded || c.Version != 1 || !c.Last || c.Erased || string(c.Body) != "one" {
		t.Errorf("first change: %+v", c)
	}
	if c.Time.Location() != time.UTC || c.Time.Before(before) || c.Time.Nanosecond()%1000 != 0 {
		t.Errorf("time %v is not a recent one in UTC and microseconds", c.Time)
	}
	if got[0].Salt == got[1].Salt {
		t.Errorf("two changes share a salt")
	}
	if h := head(t, f); h.Position != 2 || h.Link != got[1].Link || h.Time.Before(got[1].Time) {
		t.Errorf("head %+v does not stand at the last change", h)
	}
}

func wholeTransactions(t *testing.T, f journal.Feed, w Writer) {
	write(t, w, "a", "b", "c")
	write(t, w, "d")
	got := read(t, f, 0, 1)
	if len(got) != 3 || got[0].Last || got[1].Last || !got[2].Last {
		t.Fatalf("limit 1 returned %d changes of a transaction of 3", len(got))
	}
	if got := read(t, f, 0, 4); len(got) != 4 {
		t.Errorf("limit 4 returned %d changes", len(got))
	}
	if got := read(t, f, 3, 1); len(got) != 1 || got[0].Position != 4 {
		t.Errorf("after 3: %d changes", len(got))
	}
}

func everyPosition(t *testing.T, f journal.Feed, w Writer) {
	for i := range 20 {
		write(t, w, slices.Repeat([]string{"x"}, 1+i%3)...)
	}
	all := read(t, f, 0, 1000)
	for after := range all {
		got := read(t, f, journal.Position(after), 1000)
		if len(got) != len(all)-after || got[0].Link != all[after].Link {
			t.Fatalf("after %d: %d changes of %d", after, len(got), len(all)-after)
		}
	}
}

func beyondHead(t *testing.T, f journal.Feed, w Writer) {
	write(t, w, "x")
	for _, after := range []journal.Position{1, 2, 1 << 40} {
		if got := read(t, f, after, 10); len(got) != 0 {
			t.Errorf("after %d: %d changes", after, len(got))
		}
	}
}

func waitNewer(t *testing.T, f journal.Feed, w Writer) {
	write(t, w, "x")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := f.Wait(ctx, 0); err != nil {
		t.Errorf("waiting: %v", err)
	}
}

// wakes waits after a position, and does again and again what should end the wait: nobody can tell from outside when a
// wait has begun, and a heartbeat before it need not end it.
func wakes(t *testing.T, f journal.Feed, after journal.Position, act func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f.Wait(ctx, after) }()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("waiting: %v", err)
			}
			return
		case <-time.After(10 * time.Millisecond):
			act()
		}
	}
}

func waitAppend(t *testing.T, f journal.Feed, w Writer) {
	p := write(t, w, "x")
	once := sync.OnceFunc(func() { write(t, w, "y") })
	wakes(t, f, p, once)
	if got := read(t, f, p, 10); len(got) != 1 {
		t.Errorf("after the wait: %d changes", len(got))
	}
}

func waitBeat(t *testing.T, f journal.Feed, w Writer) {
	p := write(t, w, "x")
	before := head(t, f)
	wakes(t, f, p, func() {
		if err := w.Beat(); err != nil {
			t.Errorf("heartbeat: %v", err)
		}
	})
	if after := head(t, f); !after.Time.After(before.Time) || after.Position != p {
		t.Errorf("heartbeat moved the head from %+v to %+v", before, after)
	}
}

func waitContext(t *testing.T, f journal.Feed, _ Writer) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := f.Wait(ctx, 1000); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting ended with %v", err)
	}
}

func content(t *testing.T, f journal.Feed, w Writer) {
	for _, data := range [][]byte{{}, []byte("small"), bytes.Repeat([]byte("0123456789abcdef"), 3<<16)} {
		h, err := w.PutContent(data)
		if err != nil {
			t.Fatalf("storing %d bytes: %v", len(data), err)
		}
		if h != journal.Hash(sha256.Sum256(data)) {
			t.Errorf("content of %d bytes has the name %s", len(data), h)
		}
		r, err := f.Content(t.Context(), h)
		if err != nil {
			t.Fatalf("opening %d bytes: %v", len(data), err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("read %d bytes of %d: %v", len(got), len(data), err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	}
	if _, err := f.Content(t.Context(), journal.Hash{1}); !errors.Is(err, journal.ErrNoContent) {
		t.Errorf("unknown content: %v", err)
	}
}

func ownership(t *testing.T, f journal.Feed, w Writer) {
	write(t, w, "mine")
	read(t, f, 0, 1)[0].Body[0] = 'X'
	if got := read(t, f, 0, 1)[0].Body; string(got) != "mine" {
		t.Errorf("a caller changed the journal to %q", got)
	}
}

func verifies(t *testing.T, f journal.Feed, w Writer) {
	for i := range 30 {
		write(t, w, slices.Repeat([]string{"body"}, 1+i%4)...)
	}
	h, err := journal.VerifyChain(t.Context(), f)
	if err != nil || h.Link != head(t, f).Link {
		t.Errorf("verifying: %v", err)
	}
}
