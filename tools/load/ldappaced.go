package main

import (
	"errors"
	"net"

	"cardinal/internal/ber"
)

// question is a search, and what its entries must be.
type question struct {
	search searchRequest
	right  func(entries [][]byte) error
}

// settle asks a question and waits for the answer.
func (w *wire) settle(q question) error {
	entries, err := w.search(q.search)
	if err != nil {
		return err
	}
	return q.right(entries)
}

// ldapDialogue asks the questions of one operation after the other without
// waiting. Its connection must be in the clear.
type ldapDialogue struct {
	*ldapWorker
	asks  func(w *ldapWorker, n int) []question
	open  []question // of the operation under way, the first is asked
	found [][]byte
}

func (d *ldapDialogue) socket() net.Conn { return d.conn }

func (d *ldapDialogue) ask(b []byte, n int) ([]byte, error) {
	d.open = d.asks(d.ldapWorker, n)
	return d.next(b), nil
}

func (d *ldapDialogue) next(b []byte) []byte {
	d.id++
	return d.open[0].search.append(b, d.id)
}

// more implements sequel.
func (d *ldapDialogue) more(b []byte) ([]byte, bool) {
	if d.open = d.open[1:]; len(d.open) == 0 {
		return b, false
	}
	return d.next(b), true
}

// reply implements dialogue: entries up to and with what ends them.
func (d *ldapDialogue) reply(in []byte) (size int, last bool, err error) {
	for {
		h, err := ber.ParseHeader(in[size:])
		switch {
		case errors.Is(err, ber.ErrShort):
			return 0, false, nil
		case err != nil:
			return 0, false, err
		case h.Length > maxMessage:
			return 0, false, ber.ErrLength
		case len(in)-size < h.Total():
			return 0, false, nil
		}
		message := ldapReader{buffer: in[size : size+h.Total()], to: h.Total()}
		size += h.Total()
		tag, _, err := message.next(d.id)
		if err != nil || tag != tagSearchEntry {
			return size, false, err
		}
	}
}

// judge implements dialogue.
func (d *ldapDialogue) judge(reply []byte) error {
	messages := ldapReader{buffer: reply, to: len(reply)}
	for d.found = d.found[:0]; ; {
		tag, body, err := messages.next(d.id)
		if err != nil {
			return err
		}
		if tag != tagSearchEntry {
			if err := success(tag, tagSearchDone, body); err != nil {
				return err
			}
			return d.open[0].right(d.found)
		}
		d.found = append(d.found, body)
	}
}
