package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// load is how long and how hard a load is.
type load struct {
	connections int
	seconds     float64
	pid         int // of the server, 0 when its CPU is not of interest
	json        bool
}

func (l *load) flags(c *cobra.Command) {
	c.Flags().IntVar(&l.connections, "connections", 16, "connections, each with one request in flight")
	c.Flags().Float64Var(&l.seconds, "seconds", 10, "how long")
	c.Flags().IntVar(&l.pid, "pid", 0, "process id of the server, to measure its CPU")
	c.Flags().BoolVar(&l.json, "json", false, "print the report as JSON")
}

func (l *load) length() time.Duration { return time.Duration(l.seconds * float64(time.Second)) }

// report is what a load came to. Times are in microseconds; CPU is the
// server's, and the generator's own beside it, since a generator that is as
// busy as the server measures itself.
type report struct {
	Operation   string    `json:"operation"`
	Connections int       `json:"connections"`
	Seconds     float64   `json:"seconds"`
	Operations  int       `json:"operations"`
	Rate        float64   `json:"rate"`
	P50         int64     `json:"p50_us"`
	P95         int64     `json:"p95_us"`
	P99         int64     `json:"p99_us"`
	P999        int64     `json:"p99.9_us"`
	CPU         float64   `json:"cpu_us_per_op"`
	ClientCPU   float64   `json:"client_cpu_us_per_op"`
	Late        *lateness `json:"late,omitempty"`
	Wrong       int       `json:"wrong"`  // answers that were not what the data demand
	Errors      int       `json:"errors"` // operations without an answer
	first       error
}

// lateness is how much later than planned a load at a pace asked, where it did
// not wait for the server. Such time counts against the server.
type lateness struct {
	P50 int64 `json:"p50_us"`
	P99 int64 `json:"p99_us"`
	Max int64 `json:"max_us"`
}

// worker does one operation after another on a connection of its own. After a
// wrongAnswer it can go on; after any other error it is closed and another
// one opened in its place.
type worker interface {
	operate(ctx context.Context, n int) error
	Close() error
}

// checker is a worker that can say, once it has worked, whether what it did is
// still there, or what it was told was right.
type checker interface {
	check() error
}

// wrongAnswer is an answer that is not what it must be.
type wrongAnswer struct{ error }

func wrong(format string, args ...any) error { return wrongAnswer{fmt.Errorf(format, args...)} }

// errFinished: a worker has nothing more to do.
var errFinished = errors.New("there is nothing more to do")

var (
	errNothing  = errors.New("no operation was finished")
	errNotRight = errors.New("not every answer was right")
)

// maxErrors is how many connections a worker loses before it gives up.
const maxErrors = 5

// crew is the workers of one load; it can work for several laps.
type crew struct {
	open    func(i int) (worker, error)
	workers []worker
	next    []int
	pid     int
}

// stride keeps the workers' operations apart: worker i does i·stride, i·stride+1 ….
const stride = 1 << 32

func (l *load) assemble(open func(i int) (worker, error)) (*crew, error) {
	c := &crew{open: open, pid: l.pid}
	for i := range l.connections {
		w, err := open(i)
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("connection %d: %w", i, err)
		}
		c.workers, c.next = append(c.workers, w), append(c.next, i*stride)
	}
	return c, nil
}

func (c *crew) Close() {
	for _, w := range c.workers {
		if w != nil {
			_ = w.Close()
		}
	}
}

// lap is what workers did between a start and an end.
type lap struct {
	mu            sync.Mutex
	took          []time.Duration
	late          []time.Duration // of a load at a pace
	wrong, errors int
	first         error
	length        time.Duration
	cpu, own      time.Duration
}

// work lets all workers work side by side for a time.
func (c *crew) work(ctx context.Context, length time.Duration) (*lap, error) {
	before, err := cpuOf(c.pid)
	if err != nil {
		return nil, err
	}
	own, begun, all := ownCPU(), time.Now(), &lap{}
	var g sync.WaitGroup
	for i := range c.workers {
		g.Go(func() { all.add(c.repeat(ctx, i, begun.Add(length))) })
	}
	g.Wait()
	all.length, all.own = time.Since(begun), ownCPU()-own
	after, err := cpuOf(c.pid)
	all.cpu = after - before
	c.check(all)
	return all, err
}

// check asks the workers whether what they did is still there, or right.
func (c *crew) check(all *lap) {
	for i, w := range c.workers {
		if checked, ok := w.(checker); ok && w != nil {
			all.note(checked.check(), i)
		}
	}
}

func (a *lap) add(b *lap) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.took = append(a.took, b.took...)
	a.wrong, a.errors = a.wrong+b.wrong, a.errors+b.errors
	a.first = errors.Join(a.first, b.first)
}

// note counts what came of an operation and reports whether the connection is
// still of use.
func (a *lap) note(err error, i int) bool {
	var bad wrongAnswer
	switch {
	case err == nil:
		return true
	case errors.As(err, &bad):
		a.wrong++
	default:
		a.errors++
	}
	if a.first == nil {
		a.first = fmt.Errorf("connection %d: %w", i, err)
	}
	return bad.error != nil
}

// repeat works until a time, and once if that is over already: a machine that is slow to begin has not done nothing.
func (c *crew) repeat(ctx context.Context, i int, until time.Time) *lap {
	own := &lap{}
	for start, once := time.Now(), true; (once || start.Before(until)) && ctx.Err() == nil; c.next[i]++ {
		if c.workers[i] == nil {
			w, err := c.open(i)
			if !own.note(err, i) {
				break
			}
			c.workers[i] = w
		}
		err := c.workers[i].operate(ctx, c.next[i])
		now := time.Now()
		if errors.Is(err, errFinished) {
			break
		}
		if err == nil {
			own.took = append(own.took, now.Sub(start))
		} else if !own.note(err, i) {
			_ = c.workers[i].Close()
			c.workers[i] = nil
		}
		if own.errors > maxErrors {
			break
		}
		start, once = now, false
	}
	return own
}

// measure assembles a crew, lets it work once, and sums up.
func (l *load) measure(ctx context.Context, operation string, open func(i int) (worker, error)) (report, error) {
	c, err := l.assemble(open)
	if err != nil {
		return report{}, err
	}
	defer c.Close()
	done, err := c.work(ctx, l.length())
	if err != nil {
		return report{}, err
	}
	return done.report(operation, l.connections)
}

func (a *lap) report(operation string, connections int) (report, error) {
	r := report{Operation: operation, Connections: connections, Seconds: a.length.Seconds(), Operations: len(a.took),
		Wrong: a.wrong, Errors: a.errors, first: a.first}
	if len(a.took) == 0 {
		return r, errors.Join(errNothing, a.first)
	}
	slices.Sort(a.took)
	n := float64(len(a.took))
	r.Rate, r.P50, r.P95, r.P99, r.P999 = n/r.Seconds, quantile(a.took, 0.50), quantile(a.took, 0.95), quantile(a.took, 0.99), quantile(a.took, 0.999)
	if len(a.late) > 0 {
		slices.Sort(a.late)
		r.Late = &lateness{quantile(a.late, 0.50), quantile(a.late, 0.99), quantile(a.late, 1)}
	}
	r.CPU, r.ClientCPU = float64(a.cpu.Microseconds())/n, float64(a.own.Microseconds())/n
	return r, nil
}

// quantile is the time, in microseconds, that a share of sorted ones does not
// exceed.
func quantile(sorted []time.Duration, share float64) int64 {
	return sorted[int(share*float64(len(sorted)-1))].Microseconds()
}

// finish prints a report. It fails when anything was wrong.
func (l *load) finish(out io.Writer, r report, err error) error {
	if err != nil {
		return err
	}
	if l.json {
		err = json.NewEncoder(out).Encode(r)
	} else {
		_, err = fmt.Fprintf(out, "%s, %d connections: %.0f/s, p50 %d µs, p95 %d µs, p99 %d µs, server CPU %.1f µs each, wrong %d, errors %d\n",
			r.Operation, r.Connections, r.Rate, r.P50, r.P95, r.P99, r.CPU, r.Wrong, r.Errors)
		if r.Late != nil && err == nil {
			_, err = fmt.Fprintf(out, "asked late by p50 %d µs, p99 %d µs, at most %d µs\n", r.Late.P50, r.Late.P99, r.Late.Max)
		}
	}
	if r.Wrong+r.Errors > 0 {
		err = errors.Join(err, errNotRight, r.first)
	}
	return err
}
