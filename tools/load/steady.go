package main

import (
	"context"
	"errors"
	"sync"
	"time"
)

// steady lets all workers together begin so many operations a second, at times
// that are fixed beforehand, until ctx ends or the length is over. It is for
// operations that the pacer cannot ask, such as changes and all over TLS; it sleeps
// between them, so a time may be longer than it was by what a timer is late. An
// operation's time is counted from when it was due.
func (c *crew) steady(ctx context.Context, length time.Duration, rate float64) (*lap, error) {
	before, err := cpuOf(c.pid)
	if err != nil {
		return nil, err
	}
	own, begun, all := ownCPU(), time.Now(), &lap{}
	due := make(chan time.Time, waiting)
	var g sync.WaitGroup
	for i := range c.workers {
		g.Go(func() { all.add(c.attend(ctx, i, due)) })
	}
	for n := 0; ctx.Err() == nil; n++ {
		at := begun.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		if at.Sub(begun) >= length {
			break
		}
		time.Sleep(time.Until(at))
		select {
		case due <- at:
		case <-ctx.Done():
		}
	}
	close(due)
	g.Wait()
	all.length, all.own = time.Since(begun), ownCPU()-own
	if after, err := cpuOf(c.pid); err == nil { // it may have been killed meanwhile
		all.cpu = after - before
	}
	return all, nil
}

// waiting is how many operations may be due and not begun; past it they become
// due later.
const waiting = 1 << 16

// attend does what is due, one after the other.
func (c *crew) attend(ctx context.Context, i int, due <-chan time.Time) *lap {
	own := &lap{}
	for at := range due {
		if ctx.Err() != nil {
			continue
		}
		if c.workers[i] == nil {
			w, err := c.open(i)
			if own.note(err, i); err != nil {
				time.Sleep(100 * time.Millisecond)
				continue
			}
			c.workers[i] = w
		}
		err := c.workers[i].operate(ctx, c.next[i])
		c.next[i]++
		switch {
		case err == nil:
			own.took = append(own.took, time.Since(at))
		case errors.Is(err, errFinished):
			return own
		case !own.note(err, i):
			_ = c.workers[i].Close()
			c.workers[i] = nil
		}
	}
	return own
}
