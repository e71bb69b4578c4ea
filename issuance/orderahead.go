package issuance

import (
	"context"
	"slices"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// Reading a block costs more than writing it, and needs no right to write: so
// each block is read from a snapshot while the one before it is written. The
// transaction that writes it makes sure that nothing it rests on has changed
// since: the order and the break-glass set it reads again, of statuses and
// entries the journal tells, and of the cards' rows the statement that moves
// them. A block that does not hold is read again in the transaction.

// ahead is a block that is being read.
type ahead struct {
	done  chan struct{}
	block *block // once done; nil where it could not be read
}

// mostBeside is how many changes of others are looked through for what they have
// to do with a block: at most some hundred come while one is written.
const mostBeside = 500

// begin begins to read the block behind the one that is ready.
func (w *orderWork) begin(ctx context.Context) {
	w.next = nil
	if b := w.ready; b != nil && b.upTo < b.o.Total {
		w.next = &ahead{done: make(chan struct{})}
		go w.next.read(ctx, w.d, reach{w.id, b.upTo, b.upTo + int64(w.size)})
	}
}

// reach is which cards of an order a block takes.
type reach struct {
	order      string
	from, upTo int64 // from -1: behind those that are done
}

func (a *ahead) read(ctx context.Context, d *Desk, r reach) {
	defer close(a.done)
	b, err := d.readAhead(ctx, r)
	if err == nil {
		a.block = b
		return
	}
	if ctx.Err() == nil { // whoever writes it meets the same, or not
		d.logger.Warn("a block of an order could not be read ahead", "order", r.order, "error", err)
	}
}

func (d *Desk) readAhead(ctx context.Context, r reach) (b *block, err error) {
	err = d.ledger.Read(ctx, func(tx *ledger.Tx) error {
		o, err := d.readOrder(tx, r.order)
		if err != nil || o.State != OrderRunning {
			return err
		}
		if r.from >= 0 {
			o.Taken = r.from
		} else {
			r.upTo += o.Taken
		}
		b, err = d.readBlock(tx, o, r.upTo)
		return err
	})
	return b, err
}

// take gives the block that was read ahead, nil if there is none.
func (w *orderWork) take(ctx context.Context) *block {
	if w.next == nil {
		w.next = &ahead{done: make(chan struct{})}
		w.next.read(ctx, w.d, reach{w.id, -1, int64(w.size)})
	}
	<-w.next.done
	return w.next.block
}

// leave waits for what still reads.
func (w *orderWork) leave() {
	if w.next != nil {
		<-w.next.done
	}
}

// current is the block to write: the one that is ready, if it holds.
func (w *orderWork) current(tx *ledger.Tx, o *Order) (*block, error) {
	b, upTo := w.ready, o.Taken+int64(w.size)
	w.ready = nil // a transaction that is begun again reads for itself
	if b != nil && b.from == o.Taken {
		upTo = b.upTo // the next one begins there
		if held, err := b.holds(tx, o, w.own); err != nil || held {
			return b, err
		}
	}
	return w.d.readBlock(tx, o, upTo)
}

// holds brings a block that was read earlier into a transaction; false where it
// would be another one now.
func (b *block) holds(tx *ledger.Tx, o *Order, own ledger.Span) (bool, error) {
	changes, known, err := tx.Since(b.seen, own, mostBeside)
	if err != nil || !known || slices.ContainsFunc(changes, func(c journal.Change) bool { return b.rests(&c) }) {
		return false, err
	}
	before := b.left
	b.o, b.tx, b.statuses = o, tx, b.statuses.In(tx)
	err = b.judge()
	return err == nil && slices.Equal(before, b.left), err
}

// rests reports whether a change may be about something the block rests on.
func (b *block) rests(c *journal.Change) bool {
	switch c.Kind {
	case journal.KindListPublished, journal.KindCertificatesRecorded, journal.KindCheckpoint, journal.KindOrderMoved, journal.KindSecretsChanged:
		return false
	case journal.KindStatusChanged:
		s, err := certs.ParseStatusChange(c.Body)
		return err != nil || slices.ContainsFunc(s.Serials, func(serial certs.Serial) bool {
			_, ours := b.statuses.Status(certs.Ref{Issuer: s.Issuer, Serial: serial})
			return ours
		})
	case journal.KindEntryAdded, journal.KindEntryModified, journal.KindEntryDeleted, journal.KindEntriesModified:
		return slices.ContainsFunc(b.shown, func(s shownCards) bool { return s.set.Touched(c) })
	}
	return true
}
