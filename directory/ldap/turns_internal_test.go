package ldap

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func quiet() uint64 { return 0 }

// TestTurnsGoByLanesAndConnections: the urgent come first, but not for ever;
// one connection with much to do does not come before others.
func TestTurnsGoByLanesAndConnections(t *testing.T) {
	t.Parallel()
	s := newTurns(1, quiet)
	holder := s.of(0, laneComing)
	if holder.enter(t.Context()) != nil {
		t.Fatal("a free seat was not to be had")
	}
	var order []string
	var work sync.WaitGroup
	queue := func(connection uint64, l lane) {
		waiting := s.waits()
		work.Go(func() {
			x := s.of(connection, l)
			if x.enter(context.Background()) == nil {
				order = append(order, fmt.Sprintf("%d@%d", connection, l)) // whoever has the seat is alone
				x.leave()
			}
		})
		for s.waits() == waiting {
			time.Sleep(time.Millisecond)
		}
	}
	for range 3 {
		queue(1, laneLong)
	}
	queue(2, laneLong)
	queue(3, laneLongest)
	for connection := range uint64(5) {
		queue(10+connection, laneComing)
	}
	holder.leave()
	work.Wait()
	want := "10@0 11@0 12@0 3@2 1@1 13@0 14@0 2@1 1@1 1@1"
	if got := strings.Join(order, " "); got != want {
		t.Errorf("the order was %s, want %s", got, want)
	}
}

// TestInterruptedSliceGoesOnFirst: work that made room for the urgent comes
// before others of its kind afterwards.
func TestInterruptedSliceGoesOnFirst(t *testing.T) {
	t.Parallel()
	q := queue{of: map[uint64][]*turn{}}
	fresh, again, same := &turn{of: 1}, &turn{of: 2, kept: quantum}, &turn{of: 1, kept: quantum}
	spent := &turn{of: 3, kept: slice}
	for _, x := range []*turn{fresh, spent, again, same} {
		q.add(x)
	}
	for i, want := range []*turn{again, same, spent, fresh} {
		if got := q.next(); got != want {
			t.Errorf("number %d is of connection %d", i, got.of)
		}
	}
	if len(q.order) != 0 || len(q.of) != 0 {
		t.Errorf("left over: %v %v", q.order, q.of)
	}
}

// TestGivingUpLosesNoSeat: waiters that give up in the moment they are served
// hand the seat on.
func TestGivingUpLosesNoSeat(t *testing.T) {
	t.Parallel()
	s := newTurns(2, quiet)
	var work sync.WaitGroup
	for i := range 8 {
		work.Go(func() {
			for n := range 300 {
				ctx, cancel := context.WithCancel(t.Context())
				x := s.of(uint64(i), lane(n)%lanes)
				go cancel()
				if x.enter(ctx) == nil {
					x.breathe()
					x.leave()
				}
				cancel()
			}
		})
	}
	work.Wait()
	if len(s.free) != 2 || s.waits() != 0 {
		t.Errorf("%d seats free, %d wait", len(s.free), s.waits())
	}
	for l := range s.waiting {
		if len(s.waiting[l].order)+len(s.waiting[l].of) > 0 {
			t.Errorf("lane %d is not empty: %v", l, s.waiting[l])
		}
	}
}

// TestShortRequestsGetTheirShare: what was used is paid for with rounds in
// which others run, until they have had their share or there are none.
func TestShortRequestsGetTheirShare(t *testing.T) {
	t.Parallel()
	var rounds int
	s := seat{}
	s.charge(quantum-1, time.Now())
	s.settle(func() uint64 { rounds++; return 0 })
	if rounds != 0 {
		t.Errorf("%d looks before a quantum was used", rounds)
	}
	s.charge(quantum, time.Now())
	s.settle(func() uint64 { rounds++; return 0 })
	if rounds != 2 || s.debt != 0 {
		t.Errorf("%d looks with nobody there, want one round; %v owed", rounds, s.debt)
	}
	begun := time.Now()
	s.charge(time.Minute, begun) // nothing is owed for so long
	s.settle(func() uint64 { rounds++; return uint64(rounds) })
	if took := time.Since(begun); took < shortShare*mostOwed {
		t.Errorf("with others always there it went on after %v", took)
	}
}

// TestRoundsGoByTheNetwork: whoever waits for octets that are there runs before
// a round after round is over, even beside work that is never done.
func TestRoundsGoByTheNetwork(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	there := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		there <- c
	}()
	here, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	peer := <-there
	defer peer.Close()
	go func() { // answers
		b := make([]byte, 1)
		for {
			if _, err := peer.Read(b); err != nil {
				return
			}
			_, _ = peer.Write(b)
		}
	}()
	var b bell
	got := make(chan struct{})
	go func() {
		buf := make([]byte, 1)
		for range 100 {
			_, _ = here.Write(buf)
			_, _ = here.Read(buf)
		}
		close(got)
	}()
	deadline := time.Now().Add(time.Minute)
	for {
		select {
		case <-got:
			return
		default:
		}
		if b.round(); time.Now().After(deadline) {
			t.Fatal("100 exchanges did not end beside rounds")
		}
	}
}

// TestStreaksTakeTheirTurn: a goroutine that always finds more to do takes
// turns, one that has to wait between does not.
func TestStreaksTakeTheirTurn(t *testing.T) {
	t.Parallel()
	s := newTurns(1, quiet)
	x, now := s.of(1, laneComing), time.Now()
	var patient, busy streak
	for range 50 {
		patient.asked = now
		now = now.Add(atOnce + 1)
		if err := patient.keep(t.Context(), &x, now); err != nil || x.used != 0 {
			t.Fatalf("who waits took a turn: %v", err)
		}
	}
	for range 400 {
		busy.asked = now
		now = now.Add(atOnce)
		if err := busy.keep(t.Context(), &x, now); err != nil {
			t.Fatal(err)
		}
	}
	if x.used < 4*inRow || slices.Contains(s.free, nil) || len(s.free) != 1 {
		t.Errorf("five times as much in a row as may be took turns of %v", x.used)
	}
}
