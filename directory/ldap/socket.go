package ldap

import (
	"context"
	"net"
	"syscall"
)

// socket is a connection's socket. Work that holds a turn may read or write it:
// the turn is given up for as long as that waits for the client. Who writes
// keeps it where the socket takes everything at once.
type socket struct {
	net.Conn
	ctx     context.Context // of the connection
	raw     syscall.RawConn // nil until it is needed
	reading *turn           // who reads, if he takes turns
	writing *turn           // who writes, if he takes turns; guarded by conn.writing
}

// Read implements net.Conn.
func (s *socket) Read(b []byte) (int, error) {
	if s.reading == nil {
		return s.Conn.Read(b)
	}
	s.reading.leave()
	n, err := s.Conn.Read(b)
	if err == nil {
		err = s.reading.enter(s.ctx)
	}
	return n, err
}

// Write implements net.Conn.
func (s *socket) Write(b []byte) (int, error) {
	if s.writing == nil || !s.opened() {
		return s.Conn.Write(b)
	}
	for sent := 0; ; {
		n, err := s.try(b[sent:])
		if sent += n; err != nil || sent == len(b) {
			return sent, err
		}
	}
}

// opened makes the socket's raw form; false for what is no socket.
func (s *socket) opened() bool {
	if s.raw != nil {
		return true
	}
	if c, ok := s.Conn.(syscall.Conn); ok {
		s.raw, _ = c.SyscallConn()
	}
	return s.raw != nil
}

// try writes what the socket takes. If it takes nothing it waits until it
// would, without the turn, and writes nothing.
func (s *socket) try(b []byte) (n int, err error) {
	waited := false
	waiting := s.raw.Write(func(fd uintptr) bool {
		if waited {
			return true
		}
		for {
			n, err = syscall.Write(int(fd), b)
			if err != syscall.EINTR {
				break
			}
		}
		if err != syscall.EAGAIN {
			return true
		}
		n, err, waited = 0, nil, true
		s.writing.leave()
		return false
	})
	if waiting != nil {
		return 0, waiting
	}
	if waited {
		return 0, s.writing.enter(s.ctx)
	}
	return max(n, 0), err
}
