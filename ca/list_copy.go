package ca

import (
	"errors"
	"hash"
	"io"
)

// copyBuffers are in turn read into, written and hashed.
const copyBuffers = 3

// copyHashed copies r to w and has hashed beside it what is copied: writing a
// long list stores and packs it, and the digest takes a core as long again. It
// gives how many octets were copied; digest is at rest when it returns.
func copyHashed(w io.Writer, digest hash.Hash, r io.Reader) (n int64, err error) {
	// w may not change what it is given (io.Writer), so both read it at once;
	// a buffer is free again when both are done: the channels hold them all.
	toHash, hashed := make(chan []byte, copyBuffers), make(chan []byte, copyBuffers)
	go func() {
		defer close(hashed)
		for p := range toHash {
			digest.Write(p)
			hashed <- p
		}
	}()
	for begun := 0; err == nil; begun++ {
		var p []byte
		if begun < copyBuffers {
			p = make([]byte, chunk)
		} else {
			p = (<-hashed)[:chunk]
		}
		var k int
		if k, err = io.ReadFull(r, p); k > 0 {
			toHash <- p[:k]
			n += int64(k)
			if _, failed := w.Write(p[:k]); failed != nil {
				err = failed
			}
		}
	}
	close(toHash)
	for range hashed { // to its end
	}
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return n, err
}
