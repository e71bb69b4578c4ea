package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"cardinal/certs"
	"cardinal/ocsp/relying"
)

func (l *ocspLoad) open(int) (worker, error) {
	conn, err := net.Dial("tcp", l.host)
	if err != nil {
		return nil, err
	}
	return &ocspWorker{l: l, conn: conn}, nil
}

// ocspWorker is one connection, kept open.
type ocspWorker struct {
	l     *ocspLoad
	conn  net.Conn
	in    []byte
	out   []byte
	asked ocspQuery
	n     int
	kept  []keptAnswer
}

// keptAnswer is an answer to be judged in full when the load is over: that
// takes longer than many answers.
type keptAnswer struct {
	query relying.Query
	body  []byte
	at    time.Time
}

// maxKept is how many answers a worker keeps to be judged; it judges more as
// they come.
const maxKept = 4096

func (w *ocspWorker) Close() error { return w.conn.Close() }

func (w *ocspWorker) socket() net.Conn { return w.conn }

func (w *ocspWorker) operate(_ context.Context, n int) error {
	request, err := w.ask(w.out[:0], n)
	if err != nil {
		return err
	}
	if _, err := w.conn.Write(request); err != nil {
		return err
	}
	w.out = request
	for w.in = slices.Grow(w.in[:0], 4<<10); ; {
		if len(w.in) == cap(w.in) {
			w.in = slices.Grow(w.in, cap(w.in))
		}
		got, err := w.conn.Read(w.in[len(w.in):cap(w.in)])
		if err != nil {
			return err
		}
		w.in = w.in[:len(w.in)+got]
		size, last, err := w.reply(w.in)
		if err == nil && size > 0 && last {
			err = w.reopen()
		}
		if err != nil {
			return err
		}
		if size > 0 {
			return w.judge(w.in[:size])
		}
	}
}

// ask implements dialogue.
func (w *ocspWorker) ask(b []byte, n int) ([]byte, error) {
	at := scatter(n) % len(w.l.queries)
	if w.l.once { // worker i has every i-th of them
		own, step := n/stride, n%stride
		if at = own + step*w.l.connections; at >= len(w.l.queries) {
			return nil, errFinished
		}
	}
	w.asked, w.n = w.l.queries[at], n
	if w.l.nonce {
		if err := w.asked.renew(w.l); err != nil {
			return nil, err
		}
	}
	return append(b, w.asked.request...), nil
}

// renew gives the question a nonce.
func (q *ocspQuery) renew(l *ocspLoad) error {
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails
	q.query.Nonce = nonce
	der, err := q.query.Encode()
	q.request = l.encode(der)
	return err
}

// reopen connects anew, to a server that closes after each answer.
func (w *ocspWorker) reopen() error {
	_ = w.conn.Close()
	conn, err := net.Dial("tcp", w.l.host)
	if err == nil {
		w.conn = conn
	}
	return err
}

// reply implements dialogue: an HTTP answer with a Content-Length, the last on
// its connection when it is of HTTP/1.0.
func (w *ocspWorker) reply(in []byte) (size int, last bool, err error) {
	end := bytes.Index(in, []byte("\r\n\r\n"))
	if end < 0 {
		if len(in) > relying.MaxResponse {
			err = errors.New("an answer without an end to its header")
		}
		return 0, false, err
	}
	last = bytes.HasPrefix(in, []byte("HTTP/1.0 200 "))
	if !last && !bytes.HasPrefix(in, []byte("HTTP/1.1 200 ")) {
		line, _, _ := bytes.Cut(in, []byte("\r\n"))
		return 0, false, fmt.Errorf("answered with %q", line)
	}
	length, err := lengthIn(in[:end+2])
	if err != nil || len(in) < end+4+length {
		return 0, last, err
	}
	return end + 4 + length, last, nil
}

var errLength = errors.New("an answer without a length, or with a bad one")

// lengthIn finds the Content-Length in a header.
func lengthIn(header []byte) (int, error) {
	for line := range bytes.Lines(header) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if len(name) != len("content-length") || !strings.EqualFold(string(name), "content-length") {
			continue
		}
		length, err := strconv.Atoi(string(bytes.TrimSpace(value)))
		if err != nil || length < 0 || length > relying.MaxResponse {
			return 0, errLength
		}
		return length, nil
	}
	return 0, errLength
}

// judge implements dialogue.
func (w *ocspWorker) judge(reply []byte) error {
	body := reply[bytes.Index(reply, []byte("\r\n\r\n"))+4:]
	err := w.l.whole.see(&w.asked, body)
	if err != nil || w.n%w.l.sample != 0 {
		return err
	}
	if len(w.kept) >= maxKept {
		return w.l.whole.inFull(&w.asked.query, body, time.Now())
	}
	w.kept = append(w.kept, keptAnswer{w.asked.query, bytes.Clone(body), time.Now()})
	return nil
}

// check implements checker.
func (w *ocspWorker) check() (err error) {
	for i := range w.kept {
		k := &w.kept[i]
		if e := w.l.whole.inFull(&k.query, k.body, k.at); e != nil {
			err = e
		}
	}
	w.kept = nil
	return err
}

// judge looks at answers.
type judge struct {
	expect string
	begins []byte // how the CertStatus must begin, nil for any
}

func newJudge(expect string) *judge {
	return &judge{expect, map[string][]byte{"good": {0x80, 0}, "held": {0xa1}, "revoked": {0xa1}}[expect]}
}

// see checks of an answer what is cheap.
func (j *judge) see(q *ocspQuery, body []byte) error {
	at := bytes.Index(body, q.id)
	switch {
	case at < 0:
		return wrong("certificate %x: the answer is not about it: %.20x", q.query.Leaf.SerialNumber, body)
	case !bytes.HasPrefix(body[at+len(q.id):], j.begins):
		return wrong("certificate %x: not %s", q.query.Leaf.SerialNumber, j.expect)
	case q.query.Nonce != nil && !bytes.Contains(body, q.query.Nonce):
		return wrong("certificate %x: the nonce is missing", q.query.Leaf.SerialNumber)
	}
	return nil
}

// inFull checks all of an answer that came at a time.
func (j *judge) inFull(q *relying.Query, body []byte, at time.Time) error {
	answer, err := q.Judge(body, at)
	if err == nil {
		err = j.expected(answer)
	}
	if err != nil {
		return wrong("certificate %x: %w", q.Leaf.SerialNumber, err)
	}
	return nil
}

func (j *judge) expected(a relying.Answer) error {
	want := map[string]certs.State{"good": certs.StateGood, "held": certs.StateHeld, "revoked": certs.StateRevoked}
	if j.expect == "any" || a.Known && a.Status.State == want[j.expect] {
		return nil
	}
	return fmt.Errorf("known %v, status %v; want %s", a.Known, a.Status.State, j.expect)
}
