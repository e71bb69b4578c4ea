package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"cardinal/internal/ber"
)

// counted is a worker that does nothing n times, then fails, or has nothing more to do.
type counted struct {
	left int
	end  error
}

var errWorn = errors.New("worn out")

func (c *counted) Close() error { return nil }
func (c *counted) operate(context.Context, int) error {
	if c.left == 0 {
		return c.end
	}
	c.left--
	time.Sleep(time.Millisecond)
	return nil
}

func TestLostConnectionsAreCountedAndFailTheLoad(t *testing.T) {
	t.Parallel()
	l := &load{connections: 2, seconds: 60}
	r, err := l.measure(t.Context(), "x", func(int) (worker, error) { return &counted{left: 3, end: errWorn}, nil })
	if err != nil || r.Errors != 2*(maxErrors+1) || r.Wrong != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := l.finish(io.Discard, r, err); !errors.Is(err, errNotRight) || !errors.Is(err, errWorn) {
		t.Errorf("got %v", err)
	}
}

// liar gives a wrong answer each second time, ten in all.
type liar struct{ n int }

func (l *liar) Close() error { return nil }
func (l *liar) operate(context.Context, int) error {
	switch l.n++; {
	case l.n > 20:
		return errFinished
	case l.n%2 == 0:
		return wrong("a lie")
	}
	return nil
}

func TestWrongAnswersAreCountedAndFailTheLoad(t *testing.T) {
	t.Parallel()
	l := &load{connections: 1, seconds: 60, json: true}
	r, err := l.measure(t.Context(), "x", func(int) (worker, error) { return &liar{}, nil })
	if err != nil || r.Wrong != 10 || r.Errors != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := l.finish(io.Discard, r, err); !errors.Is(err, errNotRight) {
		t.Errorf("got %v", err)
	}
}

func TestTheReportCountsEveryOperation(t *testing.T) {
	t.Parallel()
	l := &load{connections: 2, seconds: 60, pid: os.Getpid()}
	r, err := l.measure(t.Context(), "x", func(int) (worker, error) { return &counted{left: 100, end: errFinished}, nil })
	if err != nil || r.Operations != 200 || r.P50 < 900 || r.P99 < r.P50 || r.Rate <= 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestDataWritesTheSameFileTwice(t *testing.T) {
	t.Parallel()
	var a, b bytes.Buffer
	for _, w := range []io.Writer{&a, &b} {
		if err := run(t.Context(), []string{"data", "--people", "20", "--organisations", "3", "--seed", "5", "--services", "2", "--logins", "1"}, w); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) || strings.Count(a.String(), "nhsPerson\n") != 20 {
		t.Errorf("%d and %d octets", a.Len(), b.Len())
	}
}

func TestLDAPWorkerRefusesAWrongAnswer(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(id int64) []byte{
		"an error":           func(id int64) []byte { return result(id, tagSearchDone, 52) },
		"another message id": func(id int64) []byte { return result(id+1, tagSearchDone, 0) },
		"another operation":  func(id int64) []byte { return result(id, tagBindResponse, 0) },
		"no entry":           func(id int64) []byte { return result(id, tagSearchDone, 0) },
		"no BER":             func(int64) []byte { return []byte{0x30, 0x80, 0, 0} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := net.Pipe()
			defer ours.Close()
			go func() {
				request := make([]byte, 1<<16)
				_, _ = theirs.Read(request)
				_, _ = theirs.Write(answer(1))
				theirs.Close()
			}()
			w := &ldapWorker{l: &ldapLoad{world: &world{suffix: "o=nhs"}}, wire: newWire(ours)}
			if err := w.find(&human{uid: "900000000017"}); err == nil {
				t.Error("believed")
			}
		})
	}
}

func result(id int64, tag ber.Tag, code int64) []byte {
	b, message := ber.Begin(nil, tagSequence)
	b = ber.AppendInt(b, ber.Integer, id)
	b, inside := ber.Begin(b, tag)
	b = ber.AppendInt(b, tagEnumerated, code)
	b = ber.AppendString(b, ber.OctetString, "")
	b = ber.AppendString(b, ber.OctetString, "")
	b = ber.End(b, inside)
	return ber.End(b, message)
}

func FuzzLDAPReader(f *testing.F) {
	f.Add(result(1, tagSearchDone, 0))
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newLDAPReader(bytes.NewReader(data))
		for {
			tag, body, err := r.next(1)
			if err != nil {
				return
			}
			_ = success(tag, tagSearchDone, body)
		}
	})
}
