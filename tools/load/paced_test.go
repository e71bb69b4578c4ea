package main

import (
	"bufio"
	"context"
	"errors"
	"net"
	"runtime"
	"testing"
	"time"
)

// lines is a server that answers each line with itself; behave may do
// something before the n-th answer of a connection, and end it by false.
func lines(t *testing.T, behave func(n int) bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for n := 0; ; n++ {
					line, err := in.ReadBytes('\n')
					if err != nil || !behave(n) {
						return
					}
					_, _ = c.Write(line)
				}
			}()
		}
	}()
	return l.Addr().String()
}

// echoed is a dialogue with such a server.
type echoed struct {
	net.Conn
	asked string
	last  int // n of the last question there is, 0 for no end
}

func (e *echoed) operate(context.Context, int) error { return errors.ErrUnsupported }
func (e *echoed) socket() net.Conn                   { return e.Conn }
func (e *echoed) ask(b []byte, n int) ([]byte, error) {
	if e.last > 0 && n%stride > e.last {
		return b, errFinished
	}
	e.asked = string(rune('a'+n%26)) + "\n"
	return append(b, e.asked...), nil
}
func (e *echoed) reply(in []byte) (int, bool, error) { return len(in) / 2 * 2, false, nil }
func (e *echoed) judge(in []byte) error {
	if string(in) != e.asked {
		return wrong("%q for %q", in, e.asked)
	}
	return nil
}

// pace has so many lines ask at a pace.
func pace(t *testing.T, address string, connections int, last int) *lap {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux")
	}
	l := &load{connections: connections}
	c, err := l.assemble(func(int) (worker, error) {
		conn, err := net.Dial("tcp", address)
		return &echoed{Conn: conn, last: last}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	done, err := c.paced(t.Context(), 500*time.Millisecond, 400)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func TestAStalledServerIsChargedForAllWhoHadToWait(t *testing.T) {
	t.Parallel()
	const stall = 300 * time.Millisecond
	done := pace(t, lines(t, func(n int) bool {
		if n == 10 {
			time.Sleep(stall)
		}
		return true
	}), 1, 0)
	if len(done.took) != 200 || len(done.late) != 200 || done.wrong+done.errors != 0 {
		t.Fatalf("%d answers, %d wrong, %d errors: %v", len(done.took), done.wrong, done.errors, done.first)
	}
	waited := 0
	for _, took := range done.took {
		if took > stall/3 {
			waited++
		}
	}
	if waited < 70 { // of the 120 that were due in it
		t.Errorf("%d waited for the stalled server", waited)
	}
}

func TestConnectionsLostAtAPaceAreCountedAndOpenedAgain(t *testing.T) {
	t.Parallel()
	done := pace(t, lines(t, func(n int) bool { return n < 50 }), 2, 0)
	if done.errors == 0 || done.errors > 2*(maxErrors+1) || len(done.took)+done.errors != 200 || done.wrong != 0 {
		t.Errorf("%d answers, %d wrong, %d errors: %v", len(done.took), done.wrong, done.errors, done.first)
	}
	if !errors.Is(done.first, errEnded) {
		t.Errorf("first %v", done.first)
	}
}

func TestAPacedLoadEndsWhenAllWasAsked(t *testing.T) {
	t.Parallel()
	done := pace(t, lines(t, func(int) bool { return true }), 3, 9)
	if len(done.took) != 30 || done.errors+done.wrong != 0 {
		t.Errorf("%d answers, %d wrong, %d errors: %v", len(done.took), done.wrong, done.errors, done.first)
	}
}

func TestWrongAnswersAtAPaceAreCounted(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			go func() {
				for in := bufio.NewReader(c); ; {
					if _, err := in.ReadBytes('\n'); err != nil {
						return
					}
					_, _ = c.Write([]byte("!\n"))
				}
			}()
		}
	}()
	if done := pace(t, l.Addr().String(), 4, 0); done.wrong != 200 || len(done.took) != 0 || done.errors != 0 {
		t.Errorf("%d answers, %d wrong, %d errors: %v", len(done.took), done.wrong, done.errors, done.first)
	}
}
