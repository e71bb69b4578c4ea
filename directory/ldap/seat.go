package ldap

import (
	"os"
	"runtime"
	"syscall"
	"time"
)

// seat is one of the seats for work that takes turns, and what is owed for
// the work done in it. It belongs to whoever holds it.
type seat struct {
	debt time.Duration // used since others were let run
	due  time.Time     // when short requests have had their share of it
	bell bell
}

// charge puts what was used down as owed.
func (p *seat) charge(spent time.Duration, now time.Time) {
	p.debt = min(p.debt+spent, mostOwed)
	p.due = now.Add(shortShare * p.debt)
}

// settle lets others run, if enough is owed: until short requests have had
// their share, or none is left to run. It returns the time.
func (p *seat) settle(requests func() uint64) time.Time {
	now := time.Now()
	if p.debt < quantum {
		return now
	}
	for now.Before(p.due) {
		before := requests()
		p.bell.round()
		now = time.Now()
		if requests() == before {
			break
		}
	}
	p.debt = 0
	return now
}

// bell lets every goroutine run that is ready, and every one whose connection
// is. To yield is not enough for that: the Go scheduler looks at the network
// only when it has nothing else to run, so that one goroutine that always has
// something to do leaves others waiting for their octets for 10 ms. A round
// therefore goes by the network: it rings a pipe, and sleeps until the
// scheduler, looking for work, finds that it has rung.
type bell struct {
	pipe    syscall.RawConn
	ends    [2]*os.File
	ringing func(fd uintptr) (done bool)
	rung    bool
	mute    bool // it could not be made
}

func (b *bell) hang() {
	r, w, err := os.Pipe()
	if err != nil {
		b.mute = true // short of file descriptors
		return
	}
	b.ends = [2]*os.File{r, w}
	out, err1 := w.SyscallConn()
	in, err2 := r.SyscallConn()
	if err1 != nil || err2 != nil {
		b.mute = true
		return
	}
	b.pipe = in
	ring := func(fd uintptr) bool {
		_, _ = syscall.Write(int(fd), []byte{1}) // an empty pipe takes it
		return true
	}
	b.ringing = func(fd uintptr) bool {
		if !b.rung { // from here on readiness is not missed
			b.rung = true
			return out.Write(ring) != nil
		}
		var one [1]byte
		_, _ = syscall.Read(int(fd), one[:])
		return true
	}
}

func (b *bell) round() {
	if b.pipe == nil && !b.mute {
		b.hang()
	}
	if !b.mute {
		b.rung = false
		_ = b.pipe.Read(b.ringing)
	}
	runtime.Gosched() // the scheduler runs whom it found last first
}
