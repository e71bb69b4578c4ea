package main

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"
)

// paced lets all workers together do rate operations a second at times that
// are fixed beforehand, whatever the server does. An operation's time is
// counted from when it was due, so that a server that stalls is charged for
// everyone who had to wait. Between them the generator spins: a timer is late
// by more than an answer takes.
func (c *crew) paced(ctx context.Context, length time.Duration, rate float64) (*lap, error) {
	before, err := cpuOf(c.pid)
	if err != nil {
		return nil, err
	}
	own, begun, all := ownCPU(), time.Now(), &lap{}
	due := make(chan time.Time, int(rate*length.Seconds())+1)
	var g sync.WaitGroup
	for i := range c.workers {
		g.Go(func() { all.add(c.keepPace(ctx, i, due)) })
	}
	for n := 0; ctx.Err() == nil; n++ {
		at := begun.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		if at.Sub(begun) >= length {
			break
		}
		for time.Now().Before(at) {
			runtime.Gosched()
		}
		due <- at
	}
	close(due)
	g.Wait()
	all.length, all.own = time.Since(begun), ownCPU()-own
	after, err := cpuOf(c.pid)
	all.cpu = after - before
	return all, err
}

func (c *crew) keepPace(ctx context.Context, i int, due <-chan time.Time) *lap {
	own := &lap{}
	for at := range due {
		err := c.workers[i].operate(ctx, c.next[i])
		c.next[i]++
		switch {
		case err == nil:
			own.took = append(own.took, time.Since(at))
			continue
		case errors.Is(err, errFinished):
			return own
		case own.note(err, i):
			continue
		}
		_ = c.workers[i].Close()
		if c.workers[i], err = c.open(i); !own.note(err, i) || own.errors > maxErrors {
			return own
		}
	}
	return own
}
