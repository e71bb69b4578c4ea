package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// load is how long and how hard a load is.
type load struct {
	connections int
	length      time.Duration
	pid         int // of the server, 0 when its CPU is not of interest
}

func (l *load) flags(c *cobra.Command) {
	c.Flags().IntVar(&l.connections, "connections", 16, "connections, each with one request in flight")
	c.Flags().DurationVar(&l.length, "for", 10*time.Second, "how long")
	c.Flags().IntVar(&l.pid, "pid", 0, "process id of the server, to measure its CPU")
}

// report is what a load came to. Times are in microseconds.
type report struct {
	Operation   string  `json:"operation"`
	Connections int     `json:"connections"`
	Seconds     float64 `json:"seconds"`
	Operations  int     `json:"operations"`
	Rate        float64 `json:"rate"`
	P50         int64   `json:"p50_us"`
	P95         int64   `json:"p95_us"`
	P99         int64   `json:"p99_us"`
	CPU         float64 `json:"server_cpu_us,omitempty"`
}

// worker does one operation after another on a connection of its own. An
// error, a wrong answer among them, ends the whole load.
type worker interface {
	operate(ctx context.Context, n int) error
	Close() error
}

var errNothing = errors.New("no operation was finished")

// measure runs workers side by side until the time is over.
func (l *load) measure(ctx context.Context, operation string, open func(i int) (worker, error)) (report, error) {
	workers := make([]worker, 0, l.connections)
	defer func() {
		for _, w := range workers {
			w.Close()
		}
	}()
	for i := range l.connections {
		w, err := open(i)
		if err != nil {
			return report{}, fmt.Errorf("connection %d: %w", i, err)
		}
		workers = append(workers, w)
	}
	before, err := cpuOf(l.pid)
	if err != nil {
		return report{}, err
	}
	begun := time.Now()
	took := make([][]time.Duration, len(workers))
	g, ctx := errgroup.WithContext(ctx)
	for i, w := range workers {
		g.Go(func() (err error) {
			took[i], err = repeat(ctx, w, begun.Add(l.length), i)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return report{}, err
	}
	elapsed := time.Since(begun)
	after, err := cpuOf(l.pid)
	if err != nil {
		return report{}, err
	}
	return summarise(report{Operation: operation, Connections: l.connections, Seconds: elapsed.Seconds()}, slices.Concat(took...), after-before)
}

// stride keeps the workers' operations apart: worker i does i·stride, i·stride+1 ….
const stride = 1 << 32

func repeat(ctx context.Context, w worker, until time.Time, i int) ([]time.Duration, error) {
	var took []time.Duration
	for n := i * stride; ; n++ {
		start := time.Now()
		if start.After(until) || ctx.Err() != nil {
			return took, nil
		}
		if err := w.operate(ctx, n); err != nil {
			return nil, fmt.Errorf("operation %d of connection %d: %w", n%stride, i, err)
		}
		took = append(took, time.Since(start))
	}
}

func summarise(r report, took []time.Duration, cpu time.Duration) (report, error) {
	if len(took) == 0 {
		return r, errNothing
	}
	slices.Sort(took)
	at := func(share float64) int64 { return took[int(share*float64(len(took)-1))].Microseconds() }
	r.Operations, r.Rate = len(took), float64(len(took))/r.Seconds
	r.P50, r.P95, r.P99 = at(0.50), at(0.95), at(0.99)
	r.CPU = float64(cpu.Microseconds()) / float64(len(took))
	return r, nil
}

func (r report) print(out io.Writer) error { return json.NewEncoder(out).Encode(r) }

// tick is the unit of CPU time in /proc, 100 a second on every Linux Go runs on.
const tick = 10 * time.Millisecond

// cpuOf reads the user and system time a process has used (proc(5)).
func cpuOf(pid int) (time.Duration, error) {
	if pid == 0 {
		return 0, nil
	}
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, fmt.Errorf("reading the server's CPU time: %w", err)
	}
	_, rest, _ := strings.Cut(string(data), ") ") // the name before may hold spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("reading the server's CPU time: %q is not a stat line", data)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}
