package ledger

import "os"

// turns lets the committer wait until everybody whose request had reached this process has had his turn: the request of
// a connection is seen by the runtime's poller, which is asked only when nothing else is to be done. So the committer
// goes through the poller itself, by a pipe, and comes behind all who were ready before. No clock says that: on a busy
// machine time passes without anybody having run. (It is not to leave the processor to others, which the committer need
// not do: background.Work sees to that.)
type turns struct {
	in, out *os.File
	had     chan struct{}
}

func newTurns() (*turns, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	t := &turns{in: in, out: out, had: make(chan struct{}, 1)}
	go t.usher()
	return t, nil
}

// usher waits in the poller.
func (t *turns) usher() {
	defer close(t.had)
	var one [1]byte
	for {
		if _, err := t.out.Read(one[:]); err != nil {
			return
		}
		t.had <- struct{}{}
	}
}

// take waits for one turn.
func (t *turns) take() {
	if _, err := t.in.Write([]byte{0}); err == nil {
		<-t.had
	}
}

func (t *turns) close() {
	_ = t.in.Close()
	<-t.had // the usher has ended
	_ = t.out.Close()
}
