package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cardinal/internal/ber"
)

// TestMain lets this binary be the crowd that "load beside" starts as a process
// of its own.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "crowd" {
		if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// agreeing is a server that says yes to every bind and search.
type agreeing struct {
	url      string
	binds    atomic.Int64
	searches atomic.Int64
	refuse   atomic.Bool // says no to binds
}

func newAgreeing(t *testing.T) *agreeing {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	a := &agreeing{url: "ldap://" + l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go a.answer(conn)
		}
	}()
	return a
}

func (a *agreeing) answer(conn net.Conn) {
	defer conn.Close()
	data := make([]byte, 0, 1<<16)
	for {
		n, err := conn.Read(data[:cap(data)])
		if err != nil {
			return
		}
		message := ber.NewReader(data[:n])
		body, err := message.Enter(tagSequence)
		if err != nil {
			return
		}
		id, err := body.Int(ber.Integer)
		if err != nil || body.Empty() {
			return
		}
		tag, _, err := body.Next()
		switch {
		case err != nil || tag == tagUnbindRequest:
			return
		case tag == tagBindRequest:
			code := int64(0)
			if a.refuse.Load() {
				code = 49
			}
			a.binds.Add(1)
			_, err = conn.Write(result(id, tagBindResponse, code))
		default:
			a.searches.Add(1)
			_, err = conn.Write(result(id, tagSearchDone, 0))
		}
		if err != nil {
			return
		}
	}
}

// speech is what a crowd prints, and the moment it does.
type speech struct {
	bytes.Buffer
	ready chan struct{}
}

func (s *speech) Write(p []byte) (int, error) {
	if s.Len() == 0 {
		defer close(s.ready)
	}
	return s.Buffer.Write(p)
}

func TestACrowdAsksUntilItIsToldToLeave(t *testing.T) {
	t.Parallel()
	for kind, ask := range crowds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			server := newAgreeing(t)
			c := &crowd{clients: 4, logins: 2}
			c.people.Suffix, c.url, c.bindDN = "o=nhs", server.url, "-"
			if err := c.resolve("o=nhs"); err != nil {
				t.Fatal(err)
			}
			in, leave := io.Pipe()
			out := &speech{ready: make(chan struct{})}
			done := make(chan error, 1)
			go func() { done <- c.run(t.Context(), ask, in, out) }()
			<-out.ready
			for deadline := time.Now().Add(3 * time.Minute); c.asked.Load() < 20; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%d requests were answered", c.asked.Load())
				}
			}
			leave.Close()
			if err := <-done; err != nil {
				t.Error(err)
			}
			said := strings.Fields(out.String())
			if n, err := strconv.Atoi(said[len(said)-1]); said[0] != "ready" || err != nil || n < 20 {
				t.Errorf("said %q", out.String())
			}
		})
	}
}

func TestACrowdThatIsRefusedSaysSo(t *testing.T) {
	t.Parallel()
	server := newAgreeing(t)
	server.refuse.Store(true)
	c := &crowd{clients: 2}
	c.people.Suffix, c.url, c.bindDN = "o=nhs", server.url, "-"
	if err := errors.Join(c.resolve("o=nhs"), c.run(t.Context(), crowds()["answers"], strings.NewReader(""), io.Discard)); err == nil {
		t.Error("it came all the same")
	}
	if err := run(t.Context(), []string{"crowd", "sings"}, io.Discard); !errors.Is(err, errCrowd) {
		t.Errorf("a crowd that sings: %v", err)
	}
}

func TestBesideMeasuresWithAndWithoutACrowd(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	server := newAgreeing(t)
	args := []string{"beside", "scans", "--operation", "bind", "--url", server.url, "--clients", "3", "--connections", "2",
		"--rounds", "1", "--people", "10", "--organisations", "2", "--json", "--seconds"}
	var r crowded
	seconds := 0.5
	for ; seconds < 60 && r.Answered == 0; seconds *= 4 { // the crowd may have slept that long
		var out bytes.Buffer
		if err := run(t.Context(), append(args, fmt.Sprint(seconds)), &out); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
	}
	if r.Quiet.Operations == 0 || r.Beside.Operations == 0 || r.Answered <= 0 || r.Slower <= 0 || server.searches.Load() == 0 {
		t.Errorf("%+v", r)
	}
	args = append(args, "0.5")
	if err := run(t.Context(), append(args, "--slowest", "0.0001"), io.Discard); !errors.Is(err, errSlowed) {
		t.Errorf("slower than allowed: %v", err)
	}
}
