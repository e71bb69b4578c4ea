package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
	"unsafe"
)

// poller waits for many sockets and for a time on the thread that calls it. It
// goes round the runtime, whose own poller is told of a timer by another thread
// and hands the processor on meanwhile: that costs more than an answer does.
type poller struct {
	fd     int
	events [128]syscall.EpollEvent
	ready  []int
}

func openPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("opening a poller: %w", err)
	}
	return &poller{fd: fd}, nil
}

func (p *poller) Close() error { return syscall.Close(p.fd) }

// add has the poller name a socket by a number once it can be read; the socket
// does not block from then on. It leaves when it is closed.
func (p *poller) add(fd, number int) error {
	if err := syscall.SetNonblock(fd, true); err != nil {
		return err
	}
	return syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(number)})
}

// Of Linux: system calls have the same number on every machine since 5.1.
const (
	prSetTimerSlack = 29
	sysEpollPwait2  = 441
)

// sharpen has the timers of this thread end on time instead of 50 µs late.
func sharpen() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerSlack, 1, 0)
}

// wait gives the numbers of sockets that can be read, none when the time is
// over. The runtime is not told that this thread sleeps; when it needs it, for
// instance to collect garbage, it interrupts.
func (p *poller) wait(d time.Duration) ([]int, error) {
	limit := syscall.NsecToTimespec(max(d, 0).Nanoseconds())
	n, _, number := syscall.RawSyscall6(sysEpollPwait2, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events)), uintptr(len(p.events)),
		uintptr(unsafe.Pointer(&limit)), 0, 0)
	p.ready = p.ready[:0]
	switch number {
	case 0:
	case syscall.EINTR:
		return nil, nil
	default:
		return nil, fmt.Errorf("waiting for answers: %w", number)
	}
	for _, e := range p.events[:n] {
		p.ready = append(p.ready, int(e.Fd))
	}
	return p.ready, nil
}

// detach takes a connection away from the runtime, which would watch it too.
func detach(c *net.TCPConn) (fd int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd = -1
	failed := raw.Control(func(of uintptr) { fd, err = syscall.Dup(int(of)) })
	return fd, errors.Join(failed, err, c.Close())
}

func hangUp(fd int) { _ = syscall.Close(fd) }

// receive reads what has come; nothing is not an error.
func receive(fd int, b []byte) (int, error) {
	n, err := syscall.Read(fd, b)
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return 0, nil
	case err == nil && n == 0:
		return 0, errEnded
	}
	return max(n, 0), err
}

// transmit writes a request, which is far shorter than what a socket holds.
func transmit(fd int, b []byte) error {
	n, err := syscall.Write(fd, b)
	if err == nil && n < len(b) {
		err = errFull
	}
	return err
}
