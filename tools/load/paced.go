package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"time"
)

// dialogue is a worker that somebody else reads and writes for, so that one
// thread can keep many at a pace.
type dialogue interface {
	worker
	// socket is the worker's connection, of which it is told no more.
	socket() net.Conn
	// ask appends request n; errFinished when there is nothing more to ask.
	ask(b []byte, n int) ([]byte, error)
	// reply says how many octets at the start of in are the answer, 0 while it
	// is not whole, and whether the server closes after it.
	reply(in []byte) (size int, last bool, err error)
	// judge says whether the answer to the last request was right.
	judge(reply []byte) error
}

// sequel is a dialogue whose operations may be several questions, one after the
// other.
type sequel interface {
	// more appends what is to be asked after the last answer, or says that the
	// operation is over.
	more(b []byte) ([]byte, bool)
}

// pacer lets all workers together do so many operations a second at times that
// are fixed beforehand, whatever the server does. An operation's time is
// counted from when it was due, so that a server that stalls is charged for
// everyone who had to wait. How late the pacer itself was is told beside it.
type pacer struct {
	crew   *crew
	rate   float64
	total  int
	poll   *poller
	lines  []line
	idle   chan int // the lines that wait for a question, the longest first
	sent   int
	asked  int // of those, not answered yet
	begun  time.Time
	heard  time.Duration // when the last answer came
	result *lap
}

// line is one connection of a pacer. Times are since its beginning.
type line struct {
	dialogue
	fd      int // -1: lost for good
	in, out []byte
	queued  bool // stands in idle
	busy    bool
	due     time.Duration // of the question under way
	free    time.Duration // since when there was none before
	errors  int
}

var (
	errEnded    = errors.New("the server closed the connection")
	errFull     = errors.New("the socket takes no more")
	errUnasked  = errors.New("an answer to nothing")
	errSilent   = errors.New("no answer for too long")
	errNotPaced = errors.New("this cannot be asked at a pace: it takes TLS or several questions")
)

// patience is how long a server may keep silent while questions are open.
const patience = 10 * time.Second

// paced works at a pace for a time, and until all that was due in it is
// answered.
func (c *crew) paced(ctx context.Context, length time.Duration, rate float64) (*lap, error) {
	poll, err := openPoller()
	if err != nil {
		return nil, err
	}
	defer poll.Close()
	total := int(rate * length.Seconds())
	p := &pacer{crew: c, rate: rate, total: total, poll: poll, lines: make([]line, len(c.workers)), idle: make(chan int, len(c.workers)),
		result: &lap{took: make([]time.Duration, 0, total), late: make([]time.Duration, 0, total)}}
	defer p.hangUp()
	for i := range p.lines {
		p.lines[i].fd = -1
	}
	for i := range p.lines {
		if err := p.connect(i); err != nil {
			return nil, err
		}
	}
	runtime.GC() // not while it counts
	before, err := cpuOf(c.pid)
	if err != nil {
		return nil, err
	}
	own := ownCPU()
	p.begun = time.Now()
	if err := p.run(ctx); err != nil {
		return nil, err
	}
	p.result.length, p.result.own = time.Since(p.begun), ownCPU()-own
	after, err := cpuOf(c.pid)
	p.result.cpu = after - before
	c.check(p.result)
	return p.result, err
}

func (p *pacer) hangUp() {
	for i := range p.lines {
		p.lines[i].close()
	}
}

// connect takes the connection of worker i over.
func (p *pacer) connect(i int) error {
	d, ok := p.crew.workers[i].(dialogue)
	if !ok {
		return errNotPaced
	}
	socket, ok := d.socket().(*net.TCPConn)
	if !ok {
		return errNotPaced
	}
	fd, err := detach(socket)
	if err != nil {
		return err
	}
	l := &p.lines[i]
	l.dialogue, l.fd = d, fd
	l.in = slices.Grow(l.in[:0], 4<<10)
	if !p.begun.IsZero() {
		l.free = time.Since(p.begun)
	}
	p.queue(i)
	return p.poll.add(fd, i)
}

func (p *pacer) queue(i int) {
	if !p.lines[i].queued {
		p.lines[i].queued = true
		p.idle <- i
	}
}

func (l *line) close() {
	if l.fd >= 0 {
		hangUp(l.fd)
	}
	l.fd = -1
}

func (p *pacer) run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	sharpen()
	for ctx.Err() == nil {
		now := time.Since(p.begun)
		for p.sent < p.total && len(p.idle) > 0 && p.due() <= now {
			now = p.send(<-p.idle)
		}
		if p.asked == 0 && (p.sent == p.total || len(p.idle) == 0) {
			return nil
		}
		ready, err := p.poll.wait(p.pause(now))
		if err != nil {
			return err
		}
		if len(ready) == 0 && p.asked > 0 && now-p.heard > patience { // nor is there anything to read, if it was this process that stood still
			p.result.note(errSilent, 0)
			p.result.errors += p.asked - 1
			return nil
		}
		for _, i := range ready {
			p.take(i)
		}
	}
	return nil
}

// due is when the next question is to be asked.
func (p *pacer) due() time.Duration {
	return time.Duration(float64(p.sent) / p.rate * float64(time.Second))
}

// pause is how long there is nothing to do unless an answer comes.
func (p *pacer) pause(now time.Duration) time.Duration {
	if p.sent < p.total && len(p.idle) > 0 {
		return p.due() - now
	}
	return time.Second
}

// send asks the next question on a line, which is idle, and says when that was.
func (p *pacer) send(i int) time.Duration {
	l := &p.lines[i]
	l.queued = false
	if l.fd < 0 {
		return time.Since(p.begun)
	}
	n := p.crew.next[i]
	p.crew.next[i]++
	out, err := l.ask(l.out[:0], n)
	if errors.Is(err, errFinished) {
		return time.Since(p.begun) // the line is idle no more, and never will be
	}
	l.out, l.due = out, p.due()
	now := time.Since(p.begun)
	if p.asked == 0 {
		p.heard = now
	}
	p.sent++
	p.result.late = append(p.result.late, now-max(l.due, l.free))
	if err == nil {
		err = transmit(l.fd, out)
	}
	if err != nil {
		p.lose(i, err)
		return now
	}
	l.busy = true
	p.asked++
	return now
}

// take reads from a line.
func (p *pacer) take(i int) {
	l := &p.lines[i]
	if len(l.in) == cap(l.in) {
		l.in = append(l.in, 0)[:len(l.in)]
	}
	n, err := receive(l.fd, l.in[len(l.in):cap(l.in)])
	now := time.Since(p.begun)
	l.in = l.in[:len(l.in)+n]
	if err != nil || n == 0 {
		if err != nil {
			p.lose(i, err)
		}
		return
	}
	size, last, err := l.reply(l.in)
	switch {
	case !l.busy:
		p.lose(i, errUnasked)
		return
	case err != nil:
		p.lose(i, err)
		return
	case size == 0:
		return
	}
	p.heard = now
	err = l.judge(l.in[:size])
	l.in = l.in[:copy(l.in, l.in[size:])]
	if err == nil && p.goesOn(i) {
		return
	}
	p.asked--
	l.free, l.busy = now, false
	if err == nil {
		p.result.took = append(p.result.took, now-l.due)
	} else if !p.result.note(err, i) {
		p.lose(i, nil)
		return
	}
	if last {
		p.renew(i)
	} else {
		p.queue(i)
	}
}

// goesOn asks the next question of an operation, if there is one.
func (p *pacer) goesOn(i int) bool {
	l := &p.lines[i]
	s, ok := l.dialogue.(sequel)
	if !ok {
		return false
	}
	out, more := s.more(l.out[:0])
	if !more {
		return false
	}
	l.out = out
	if err := transmit(l.fd, out); err != nil {
		p.lose(i, err)
	}
	return true
}

// lose gives a line up, for a reason that was not counted yet or nil, and opens
// another in its place.
func (p *pacer) lose(i int, err error) {
	l := &p.lines[i]
	if l.busy {
		p.asked--
		l.busy = false
	}
	p.result.note(err, i)
	if l.errors++; l.errors > maxErrors {
		l.close()
		return
	}
	p.renew(i)
}

// renew opens a line anew.
func (p *pacer) renew(i int) {
	l := &p.lines[i]
	l.close()
	if checked, ok := l.dialogue.(checker); ok {
		p.result.note(checked.check(), i)
	}
	w, err := p.crew.open(i)
	if err == nil {
		p.crew.workers[i] = w
		err = p.connect(i)
	}
	if err != nil {
		p.result.note(fmt.Errorf("opening it again: %w", err), i)
	}
}
