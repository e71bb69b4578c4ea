package main

import (
	"fmt"
	"sync"

	"cardinal/internal/background"
)

// finding is one difference: where it is, and what was found there.
type finding struct {
	Where string `json:"where"`
	What  string `json:"what"`
}

// findingsMax bounds the report: one flipped page can make a hundred thousand differences.
const findingsMax = 100

// findings are the first differences, and how many there were beyond. They are for one goroutine.
type findings struct {
	all  []finding
	more int
}

// found notes a difference.
func (f *findings) found(where, format string, args ...any) {
	if len(f.all) == findingsMax {
		f.more++
		return
	}
	f.all = append(f.all, finding{Where: where, What: fmt.Sprintf(format, args...)})
}

// take notes others' differences after one's own.
func (f *findings) take(other *findings) {
	fits := min(len(other.all), findingsMax-len(f.all))
	f.all = append(f.all, other.all[:fits]...)
	f.more += other.more + len(other.all) - fits
}

// pieceLength is how many things a goroutine is handed at a time.
const pieceLength = 256

// piece is some of the things to look at, and what was found in them.
type piece[T any] struct {
	things []T
	findings
	done chan struct{}
}

// spread has every processor look at what read gives. What is found is noted in the order in which things were given, as
// if one had looked alone, and bar counts them. A bounded number waits to be looked at. The error is read's.
func spread[T any](into *findings, b *bar, read func(give func(T)) error, look func(T, *findings)) error {
	processors := background.Processors()
	todo, inOrder := make(chan *piece[T], processors), make(chan *piece[T], 4*processors)
	var looking sync.WaitGroup
	for range processors {
		looking.Go(func() {
			for p := range todo {
				for _, x := range p.things {
					look(x, &p.findings)
				}
				close(p.done)
			}
		})
	}
	looking.Go(func() {
		for p := range inOrder {
			<-p.done
			into.take(&p.findings)
			b.add(int64(len(p.things)))
		}
	})
	next := &piece[T]{done: make(chan struct{})}
	hand := func() {
		todo <- next
		inOrder <- next
		next = &piece[T]{done: make(chan struct{})}
	}
	err := read(func(x T) {
		if next.things = append(next.things, x); len(next.things) == pieceLength {
			hand()
		}
	})
	hand()
	close(todo)
	close(inOrder)
	looking.Wait()
	return err
}
