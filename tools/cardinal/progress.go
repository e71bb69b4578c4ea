package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// A bar shows how a long step goes: drawn in place on a terminal, a line
// every few seconds elsewhere, so that logs stay readable.
type bar struct {
	a     *app
	label string
	total int64 // 0 = not known
	done  int64
	begun time.Time
	spoke time.Time
	drawn *mpb.Progress
	line  *mpb.Bar
}

// spokenEvery is how often a bar that cannot be drawn says where it is.
const spokenEvery = 5 * time.Second

// progress begins a step of total parts, 0 when nobody knows how many.
func (a *app) progress(label string, total int64) *bar {
	b := &bar{a: a, label: label, total: total, begun: time.Now(), spoke: time.Now()}
	if f, ok := a.err.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return b
	}
	b.drawn = mpb.New(mpb.WithOutput(a.err), mpb.WithWidth(48), mpb.WithRefreshRate(120*time.Millisecond))
	b.line = b.drawn.AddBar(total,
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(label, decor.WC{W: len(label) + 1, C: decor.DindentRight})),
		mpb.AppendDecorators(decor.CountersNoUnit("%d / %d"), decor.Name("  "), decor.AverageSpeed(0, "%.0f/s"),
			decor.Name("  "), decor.AverageETA(decor.ET_STYLE_GO)),
	)
	return b
}

// add counts n parts more. It is called from one goroutine.
func (b *bar) add(n int64) {
	b.done += n
	if b.line != nil {
		b.line.IncrInt64(n)
		return
	}
	if time.Since(b.spoke) >= spokenEvery {
		b.spoke = time.Now()
		b.a.say("%s: %s", b.label, b.standing())
	}
}

// standing is how far the step has come and how long the rest takes if it goes on as it went.
func (b *bar) standing() string {
	if b.total <= 0 || b.done <= 0 || b.done > b.total {
		return strconv.FormatInt(b.done, 10)
	}
	left := time.Duration(float64(time.Since(b.begun)) / float64(b.done) * float64(b.total-b.done))
	return fmt.Sprintf("%d of %d, about %s left", b.done, b.total, left.Round(time.Second))
}

// to says that n parts are done in all.
func (b *bar) to(n int64) { b.add(n - b.done) }

// finish ends the step and says what it came to.
func (b *bar) finish() {
	if b.line != nil {
		b.line.SetTotal(-1, true)
		b.drawn.Wait()
	}
	took := time.Since(b.begun)
	b.a.say("%s: %d in %.1f s", b.label, b.done, took.Seconds())
}
