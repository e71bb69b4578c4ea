package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/internal/ledger/ledgertest"
	"cardinal/internal/ledger/pgtest"
)

// wire stands between a ledger and its server and cuts connections.
type wire struct {
	url    string
	socket string
	mu     sync.Mutex
	open   map[net.Conn]bool
	// onCommit is asked once, when a client sends a marked COMMIT: true forwards it and cuts the connection before the
	// answer; false cuts at once.
	onCommit  atomic.Pointer[func() bool]
	meanwhile atomic.Pointer[func()] // runs once the server has committed, or has lost the connection
	refuse    atomic.Bool            // new connections are cut
}

func newWire(t *testing.T, databaseURL string) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{socket: pgtest.Socket(databaseURL), open: map[net.Conn]bool{}}
	_, parameters, _ := strings.Cut(databaseURL, "?")
	w.url = fmt.Sprintf("postgres://app@%s/postgres?%s", listener.Addr(), strings.ReplaceAll(parameters, "host=", "application_name="))
	t.Cleanup(func() { listener.Close(); w.cutAll() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go w.serve(client)
		}
	}()
	return w
}

func (w *wire) cutAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.open {
		c.Close()
	}
	clear(w.open)
}

func (w *wire) serve(client net.Conn) {
	server, err := net.Dial("unix", w.socket)
	if err != nil || w.refuse.Load() {
		client.Close()
		return
	}
	w.mu.Lock()
	w.open[client], w.open[server] = true, true
	w.mu.Unlock()
	var cut atomic.Bool // the client hears no more, and keeps its connection until the meanwhile is over
	committed := make(chan bool, 1)
	go func() {
		buffer := make([]byte, 1<<16)
		for {
			n, err := server.Read(buffer)
			if cut.Load() && (err != nil || bytes.Contains(buffer[:n], []byte("COMMIT\x00"))) {
				select {
				case committed <- true:
				default:
				}
			}
			switch {
			case cut.Load() && err != nil:
				return
			case err != nil:
				client.Close()
				return
			case !cut.Load():
				client.Write(buffer[:n])
			}
		}
	}()
	buffer := make([]byte, 1<<20)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			server.Close()
			return
		}
		// What is left of a group and its COMMIT travel in one write; the tests' groups carry these words.
		if ask := w.onCommit.Load(); ask != nil && bytes.Contains(buffer[:n], []byte("cut here")) && w.onCommit.CompareAndSwap(ask, nil) {
			cut.Store(true)
			if (*ask)() {
				server.Write(buffer[:n])
				<-committed
			}
			server.Close()
			if between := w.meanwhile.Load(); between != nil {
				(*between)()
			}
			client.Close()
			return
		}
		server.Write(buffer[:n])
	}
}

func TestConnectionLostDuringCommitIsAnsweredTruly(t *testing.T) {
	t.Parallel()
	w := newWire(t, pgtest.URL(t))
	l, err := ledger.Create(t.Context(), ledger.Options{URL: w.url, Rooms: ledgertest.Rooms()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	marked := func(tx *ledger.Tx) error {
		tx.Append(journal.KindEntryAdded, 1, []byte("cut here"))
		return nil
	}
	sideTable := func(tx *ledger.Tx) error {
		tx.Defer(`INSERT INTO suite_counter (name, n) VALUES ($1, 1)
			ON CONFLICT (name) DO UPDATE SET n = suite_counter.n + 1`, "cut here")
		return nil
	}
	ask := func(forward bool) {
		fn := func() bool { return forward }
		w.onCommit.Store(&fn)
	}
	counter := func() (n int) {
		if err := l.Read(t.Context(), func(tx *ledger.Tx) error {
			return tx.QueryRow(`SELECT n FROM suite_counter`).Scan(&n)
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if p, err := l.Write(t.Context(), marked); err != nil || p != 1 {
		t.Fatal(p, err)
	}
	for want := journal.Position(2); want < 6; want += 2 {
		ask(false) // the server never saw it: it is run again
		if p, err := l.Write(t.Context(), marked); err != nil || p != want {
			t.Errorf("cut before the server saw it: position %d: %v", p, err)
		}
		ask(true) // the server committed it: it must not be run again
		if p, err := l.Write(t.Context(), marked); err != nil || p != want+1 {
			t.Errorf("cut after the server committed: position %d: %v", p, err)
		}
	}
	// Without changes the mark in the head row tells. Run twice, the statement would count to two.
	for want := 1; want < 5; want++ {
		ask(want%2 == 0)
		if _, err := l.Write(t.Context(), sideTable); err != nil || counter() != want {
			t.Errorf("counter stands at %d instead of %d: %v", counter(), want, err)
		}
	}
	head, err := journal.VerifyChain(t.Context(), l.Feed())
	if err != nil || head.Position != 5 {
		t.Errorf("head at %d: %v", head.Position, err)
	}
}

func TestOutcomeIsFoundBehindAnotherProcess(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	w := newWire(t, url)
	l, err := ledger.Create(t.Context(), ledger.Options{URL: w.url, Rooms: ledgertest.Rooms()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	other, err := ledger.Open(t.Context(), ledger.Options{URL: url, Rooms: ledgertest.Rooms()})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	filler := func(tx *ledger.Tx) error { tx.Append(journal.KindStatusChanged, 1, []byte("other")); return nil }
	between := func() {
		if _, err := other.Write(context.Background(), filler); err != nil {
			t.Errorf("the other process: %v", err)
		}
		w.refuse.Store(true) // and the server cannot be reached for a while
		time.AfterFunc(200*time.Millisecond, func() { w.refuse.Store(false) })
	}
	write := func(forward bool, fn func(tx *ledger.Tx) error) (journal.Position, error) {
		ask := func() bool { return forward }
		w.meanwhile.Store(&between)
		w.onCommit.Store(&ask)
		return l.Write(t.Context(), fn)
	}
	marked := func(tx *ledger.Tx) error { tx.Append(journal.KindEntryAdded, 1, []byte("cut here")); return nil }
	for _, prepare := range []func(tx *ledger.Tx) error{filler, func(tx *ledger.Tx) error {
		tx.Defer(`INSERT INTO suite_counter (name, n) VALUES ($1, 1)`, "prepared")
		return nil
	}} {
		if _, err := l.Write(t.Context(), prepare); err != nil { // so that the next travels in one piece
			t.Fatal(err)
		}
	}
	if p, err := write(true, marked); err != nil || p != 2 {
		t.Errorf("committed in front of the other's change: position %d: %v", p, err)
	}
	if p, err := write(false, marked); err != nil || p != 5 {
		t.Errorf("not committed, run again behind the other's change: position %d: %v", p, err)
	}
	if _, err := write(true, func(tx *ledger.Tx) error {
		tx.Defer(`INSERT INTO suite_counter (name, n) VALUES ($1, 1)`, "cut here")
		return nil
	}); !errors.Is(err, ledger.ErrOutcomeUnknown) {
		t.Errorf("without a change, behind another commit: %v", err)
	}
	if head, err := journal.VerifyChain(t.Context(), other.Feed()); err != nil || head.Position != 6 {
		t.Errorf("head at %d: %v", head.Position, err)
	}
}

func TestConnectionLostBeforeCommitIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWire(t, pgtest.URL(t))
	var log bytes.Buffer
	l, err := ledger.Create(t.Context(), ledger.Options{URL: w.url, Rooms: ledgertest.Rooms(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	runs := 0
	p, err := l.Write(t.Context(), func(tx *ledger.Tx) error {
		if runs++; runs == 1 {
			w.cutAll()
		}
		tx.Append(journal.KindEntryAdded, 1, []byte("x"))
		_, err := tx.Exec(`INSERT INTO suite_counter (name, n) VALUES ('x', 1)`)
		return err
	})
	if err != nil || p != 1 || runs != 2 {
		t.Errorf("position %d after %d runs: %v", p, runs, err)
	}
	for range 3 { // more kept connections than attempts would be enough for
		var reads sync.WaitGroup
		for range 8 {
			reads.Go(func() { l.Read(t.Context(), func(*ledger.Tx) error { time.Sleep(5 * time.Millisecond); return nil }) })
		}
		reads.Wait()
	}
	w.cutAll() // idle connections that the server has closed, for writing and for reading
	if _, err := l.Head(t.Context()); err != nil {
		t.Errorf("reading: %v", err)
	}
	if p, err := l.Write(t.Context(), func(tx *ledger.Tx) error {
		tx.Append(journal.KindEntryAdded, 1, []byte("y"))
		return nil
	}); err != nil || p != 2 {
		t.Errorf("position %d: %v", p, err)
	}
	l.Close()
	if !strings.Contains(log.String(), "connection lost") {
		t.Errorf("log: %s", log.String())
	}
}

func TestServerGoneIsAnError(t *testing.T) {
	t.Parallel()
	w := newWire(t, pgtest.URL(t))
	l, err := ledger.Create(t.Context(), ledger.Options{URL: w.url})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w.refuse.Store(true)
	w.cutAll()
	if err := l.Heartbeat(t.Context()); err == nil {
		t.Error("a heartbeat without a server")
	}
	if _, err := l.Head(t.Context()); err == nil {
		t.Error("a head without a server")
	}
	w.refuse.Store(false)
	if err := l.Heartbeat(t.Context()); err != nil {
		t.Errorf("the server is back: %v", err)
	}
}

func raw(t *testing.T, url string, statements ...string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	for _, s := range statements {
		if _, err := c.Exec(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClockFarFromPostgreSQLRefusesWrites(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	var ahead atomic.Int64
	l, err := ledger.Create(t.Context(), ledger.Options{URL: url, Now: func() time.Time {
		return time.Now().Add(time.Duration(ahead.Load()))
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, skew := range []time.Duration{time.Hour, -time.Hour} { // the way there and back may take seconds of it away
		ahead.Store(int64(skew))
		if err := l.Heartbeat(t.Context()); !errors.Is(err, ledger.ErrClock) {
			t.Errorf("%v: %v", skew, err)
		}
	}
	ahead.Store(int64(time.Second))
	if err := l.Heartbeat(t.Context()); err != nil {
		t.Errorf("1 s: %v", err)
	}
}

func TestTimeNeverGoesBackOnPostgreSQL(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	l, err := ledger.Create(t.Context(), ledger.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw(t, url, `UPDATE ledger_head SET at = at + 3600000000`)
	before, err := l.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Write(t.Context(), func(tx *ledger.Tx) error {
		if !tx.Time().Equal(before.Time) {
			t.Errorf("commit time %v before the head's %v", tx.Time(), before.Time)
		}
		tx.Append(journal.KindEntryAdded, 1, nil)
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestPostgreSQLWithoutDurableCommitsIsRefused(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	l, err := ledger.Create(t.Context(), ledger.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if l, err := ledger.Open(t.Context(), ledger.Options{URL: url + "&synchronous_commit=off"}); err == nil {
		l.Close()
		t.Error("opened with synchronous_commit=off")
	} else if !strings.Contains(err.Error(), "synchronous_commit=off") {
		t.Error(err)
	}
}

func TestFailoverURLOpens(t *testing.T) {
	t.Parallel()
	l, err := ledger.Create(t.Context(), ledger.Options{URL: pgtest.URL(t) + "&target_session_attrs=read-write"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if head, err := l.Head(t.Context()); err != nil || head.Epoch != 1 {
		t.Errorf("%+v: %v", head, err)
	}
}

func TestHungServerEndsWithTheCallersPatience(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	l, err := ledger.Create(t.Context(), ledger.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), `BEGIN; SELECT * FROM ledger_head FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	first := make(chan error, 1)
	go func() { first <- l.Heartbeat(t.Context()) }()
	time.Sleep(20 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.Write(ctx, func(*ledger.Tx) error { return io.EOF }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a write behind one that waits for the lock: %v", err)
	}
	if _, err := c.Exec(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	if err := <-first; err != nil {
		t.Errorf("the write that waited: %v", err)
	}
}

// A server that is stopped is told from a statement that failed, whether connections were open or are to be made, for
// reading and for writing; and a caller who gave up is told that.
func TestAStoppedServerIsUnreachable(t *testing.T) {
	t.Parallel()
	url, stop := pgtest.Own(t)
	l, err := ledger.Create(t.Context(), ledger.Options{URL: url, Rooms: ledgertest.Rooms(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nothing := func(*ledger.Tx) error { return nil }
	if err := errors.Join(l.Heartbeat(t.Context()), l.Read(t.Context(), nothing)); err != nil {
		t.Fatal(err)
	}
	stop()
	for round := range 2 {
		if err := l.Heartbeat(t.Context()); !errors.Is(err, ledger.ErrUnreachable) {
			t.Errorf("round %d: writing: %v", round, err)
		}
		if err := l.Read(t.Context(), nothing); !errors.Is(err, ledger.ErrUnreachable) {
			t.Errorf("round %d: reading: %v", round, err)
		}
		if _, err := l.Head(t.Context()); !errors.Is(err, ledger.ErrUnreachable) {
			t.Errorf("round %d: the head: %v", round, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Read(ended, nothing); !errors.Is(err, context.Canceled) || errors.Is(err, ledger.ErrUnreachable) {
		t.Errorf("reading for somebody who gave up: %v", err)
	}
}
