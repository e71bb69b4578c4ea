package ocsp

import (
	"io"
	"net"
	"syscall"
	"unsafe"
)

// socket reads and writes a TCP connection by system calls the scheduler is not
// told of. They never block, the runtime's poller does the waiting as always, so
// there is nothing to tell. But the first call it is told of after a rest wakes
// the runtime's own watch, which then looks every 20 µs whether that call is
// over: at a few thousand answers a second, more of a processor than all else
// beside the signature.
type socket struct {
	raw    syscall.RawConn
	reads  func(fd uintptr) bool
	writes func(fd uintptr) bool
	b      []byte // to be read into, or still to be written
	n      int
	err    error
}

// direct is a shorter way to a connection, or the connection itself where there
// is none. One goroutine at a time may use it.
func direct(c net.Conn) io.ReadWriter {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c
	}
	s := &socket{raw: raw}
	s.reads, s.writes = s.tryRead, s.tryWrite
	return s
}

// Read implements io.Reader, within the connection's deadline.
func (s *socket) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	s.b, s.n, s.err = b, 0, nil
	err := s.raw.Read(s.reads)
	s.b = nil
	switch {
	case err != nil:
		return 0, err
	case s.err == nil && s.n == 0:
		return 0, io.EOF
	}
	return s.n, s.err
}

func (s *socket) tryRead(fd uintptr) bool {
	n, number := rawCall(syscall.SYS_READ, fd, s.b)
	switch number {
	case 0:
		s.n = n
	case syscall.EAGAIN:
		return false
	default:
		s.err = number
	}
	return true
}

// Write implements io.Writer, within the connection's deadline.
func (s *socket) Write(b []byte) (int, error) {
	s.b, s.err = b, nil
	err := s.raw.Write(s.writes)
	n := len(b) - len(s.b)
	s.b = nil
	if err == nil {
		err = s.err
	}
	return n, err
}

func (s *socket) tryWrite(fd uintptr) bool {
	for len(s.b) > 0 {
		n, number := rawCall(syscall.SYS_WRITE, fd, s.b)
		switch number {
		case 0:
			s.b = s.b[n:]
		case syscall.EAGAIN:
			return false
		default:
			s.err = number
			return true
		}
	}
	return true
}

// rawCall is read(2) or write(2) on a socket that does not block.
func rawCall(call, fd uintptr, b []byte) (int, syscall.Errno) {
	for {
		n, _, number := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		if number != syscall.EINTR {
			return int(n), number
		}
	}
}
