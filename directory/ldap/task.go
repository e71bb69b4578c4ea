package ldap

import (
	"context"
	"time"

	"cardinal/directory"
	"cardinal/internal/ber"
)

// task is a request that runs on a goroutine of its own. Its fate is decided
// once, under the connection's lock: it concludes with its own answer, or was
// abandoned or cancelled before.
type task struct {
	id     int64
	op     ber.Tag
	turn   turn // of what it does itself; not for what waits for others
	fate   fate
	cancel context.CancelFunc
	lasts  bool // rests until something changes; under the connection's lock
}

type fate uint8

const (
	fateOpen fate = iota
	fateConcluded
	fateAbandoned
	fateCancelled
)

// detach runs the rest of a request on a goroutine of its own. The read buffer
// goes with it, since the request looks into it.
func (c *conn) detach(m *message, started time.Time, run func(ctx context.Context, t *task) directory.Code) {
	rest := c.in[c.from:c.to]
	in := make([]byte, max(readBuffer, len(rest)))
	c.from, c.to = 0, copy(in, rest)
	c.in = in
	ctx, cancel := context.WithCancel(c.ctx)
	t := &task{id: m.id, op: m.op, turn: c.server.turns.of(c.number, laneLong), cancel: cancel}
	c.mu.Lock()
	c.tasks++
	if c.requests[t.id] == nil {
		c.requests[t.id] = t
	} // else the id means the other one, and this cannot be abandoned
	c.mu.Unlock()
	c.running.Add(1)
	go func() {
		defer c.running.Done()
		defer c.server.inFlight.Add(-1)
		defer cancel()
		defer c.forget(t)
		defer t.turn.leave()
		defer func() {
			if c.fault(recover()) {
				c.conclude(t, nil, refuse(directory.Other, "internal error"))
			}
		}()
		c.count(t.op, run(ctx, t), started)
	}()
}

func (c *conn) forget(t *task) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t.fate = fateConcluded
	c.tasks--
	if c.requests[t.id] == t {
		delete(c.requests, t.id)
	}
}

// settle decides a task's fate unless that has been done; it returns the one
// in force.
func (c *conn) settle(t *task, f fate) fate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.fate == fateOpen {
		t.fate = f
	}
	return t.fate
}

// conclude writes the end of a task's answer after out, unless it was given
// up: nothing follows an abandon (RFC 4511 §4.11), and a cancel is answered
// with "canceled" (RFC 3909 §2.2).
func (c *conn) conclude(t *task, out []byte, r result) directory.Code {
	switch c.settle(t, fateConcluded) {
	case fateAbandoned:
		return cancelled
	case fateCancelled:
		out, r = out[:0], result{code: cancelled}
	}
	_ = c.writeIn(&t.turn, r.append(out, t.id, responseTo(t.op))) // a client that is gone has no use for it
	return r.code
}

// handleAbandon gives up a request in flight; there is no answer to it. An
// update is not given up half way, only its answer is left out.
func (c *conn) handleAbandon(m *message) {
	id, err := ber.ParseInt(m.body)
	if err != nil {
		return
	}
	c.mu.Lock()
	t := c.requests[id]
	c.mu.Unlock()
	if t != nil && c.settle(t, fateAbandoned) == fateAbandoned {
		t.cancel()
	}
}

// settleDown makes a search that follows changes one that is not in flight any
// more. It needs a message id of its own, to be given up by.
func (c *conn) settleDown(t *task) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.requests[t.id] != t:
		return protocolError("the message id is in use")
	case c.following() >= c.server.config.Limits.MaxFollowingPerConnection:
		return &directory.Error{Code: directory.Busy, Message: "too many searches that follow changes on this connection"}
	case c.draining.Load():
		return context.Canceled
	}
	t.lasts = true
	c.tasks--
	c.server.inFlight.Add(-1)
	return nil
}

// getUp is the reverse, for the end of the task.
func (c *conn) getUp(t *task) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t.lasts = false
	c.tasks++
	c.server.inFlight.Add(1)
}

// following is how many searches follow changes. It is called under the lock.
func (c *conn) following() (n int) {
	for _, t := range c.requests {
		if t.lasts {
			n++
		}
	}
	return n
}

// giveUpFollowing ends all searches that follow changes, with an answer or
// without.
func (c *conn) giveUpFollowing(answer bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.requests {
		if !t.lasts {
			continue
		}
		if !answer && t.fate == fateOpen {
			t.fate = fateAbandoned
		}
		t.cancel()
	}
}

// The result codes of the cancel operation (RFC 3909 §2.3).
const (
	noSuchOperation directory.Code = 119
	tooLate         directory.Code = 120
	cannotCancel    directory.Code = 121
)

// handleCancel gives up a search in flight and says whether that succeeded.
func (c *conn) handleCancel(value []byte) result {
	r := ber.NewReader(value)
	seq, err := r.Enter(ber.Sequence)
	if err != nil {
		return c.resultOf(err)
	}
	id, err := seq.Int(ber.Integer)
	if err != nil {
		return c.resultOf(err)
	}
	c.mu.Lock()
	t := c.requests[id]
	c.mu.Unlock()
	switch {
	case t == nil:
		return refuse(noSuchOperation, "")
	case t.op != searchRequest:
		return refuse(cannotCancel, "")
	case c.settle(t, fateCancelled) != fateCancelled:
		return refuse(tooLate, "")
	}
	t.cancel()
	return result{}
}

// takeBuffer and giveBuffer lend buffers for answers gathered off the reading
// goroutine.
func (s *Server) takeBuffer() []byte {
	if b, ok := s.buffers.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, stepOutput)
}

func (s *Server) giveBuffer(b []byte) {
	if cap(b) <= 4*stepOutput {
		s.buffers.Put(&b)
	}
}
