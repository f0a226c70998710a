package http1

import (
	"net"
	"syscall"
)

// socket is a connection to read from and to write to, both at once if need be. Where the
// system allows it, its calls go past the scheduler: they never block a thread, and what the
// runtime does around those that may costs more than many of them.
type socket struct {
	nc      net.Conn
	raw     syscall.RawConn // nil: by nc's own methods
	turn    bool            // within a turn at fd: it cannot be closed meanwhile
	fd      uintptr
	in, out half
}

// half is one direction of a socket.
type half struct {
	p   []byte
	n   int
	err error
	try func(fd uintptr) bool // made once
}

// set makes s the socket of a connection.
func (s *socket) set(nc net.Conn) { s.nc, s.raw = nc, rawSocket(nc) }

func (s *socket) Read(p []byte) (int, error) {
	if s.raw == nil || len(p) == 0 {
		return s.nc.Read(p)
	}
	return s.read(p)
}

func (s *socket) Write(p []byte) (int, error) {
	if s.raw == nil || len(p) == 0 {
		return s.nc.Write(p)
	}
	n := 0
	if s.turn {
		if n, _ = writeAgain(s.fd, p); n == len(p) {
			return n, nil
		}
	}
	m, err := s.write(p[n:]) // which finds what is wrong, if anything
	return n + m, err
}
