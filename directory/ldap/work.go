package ldap

import "context"

// work is a long search's way through its turns: before each small step it
// begins, after it what is gathered may be written.
type work struct {
	conn *conn
	turn *turn
	out  []byte // gathered, of the server's buffers
}

// begin waits until a step may be taken. Without a seat it holds nothing.
func (w *work) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.turn.held() {
		w.turn.breathe()
		return nil
	}
	if err := w.turn.enter(ctx); err != nil {
		return err
	}
	if w.out == nil {
		w.out = w.conn.server.takeBuffer()
	}
	return nil
}

// written writes what is gathered if that is worth it, or if others are to
// have the seat now, which is then given to them.
func (w *work) written() error {
	over := w.turn.over()
	if len(w.out) >= stepOutput/2 || over && len(w.out) > 0 {
		if err := w.conn.writeIn(w.turn, w.out); err != nil {
			return err
		}
		w.out = w.out[:0]
	}
	if over {
		w.turn.makeWay()
	}
	if !w.turn.held() {
		w.giveBack()
	}
	return nil
}

// end gives up everything that is held.
func (w *work) end() {
	w.turn.leave()
	w.giveBack()
}

func (w *work) giveBack() {
	if w.out != nil {
		w.conn.server.giveBuffer(w.out)
		w.out = nil
	}
}
