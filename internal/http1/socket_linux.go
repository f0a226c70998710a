package http1

import (
	"io"
	"net"
	"os"
	"syscall"
)

// rawSocket gives what a socket's own calls need, nil where nc is none: a connection that wraps
// one must be asked itself.
func rawSocket(nc net.Conn) syscall.RawConn {
	var sc syscall.Conn
	switch c := nc.(type) {
	case *net.TCPConn:
		sc = c
	case *net.UnixConn:
		sc = c
	default:
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

func (s *socket) read(p []byte) (int, error) {
	h := &s.in
	if h.try == nil {
		h.try = h.read
	}
	h.p, h.n, h.err = p, 0, nil
	err := s.raw.Read(h.try)
	h.p = nil
	if err == nil && h.err != nil {
		err = s.failed("read", h.err)
	}
	return h.n, err
}

func (s *socket) write(p []byte) (int, error) {
	h := &s.out
	if h.try == nil {
		h.try = h.write
	}
	h.p, h.n, h.err = p, 0, nil
	err := s.raw.Write(h.try)
	h.p = nil
	if err == nil && h.err != nil {
		err = s.failed("write", h.err)
	}
	return h.n, err
}

// failed is an error as package net gives it.
func (s *socket) failed(op string, err error) error {
	if err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: s.nc.LocalAddr().Network(), Source: s.nc.LocalAddr(), Addr: s.nc.RemoteAddr(), Err: os.NewSyscallError(op, err)}
}

// read is one read; false waits until there is something.
func (h *half) read(fd uintptr) bool {
	n, err := readAgain(fd, h.p)
	switch {
	case err == syscall.EAGAIN:
		return false
	case err != nil:
		h.err = err
	case n == 0:
		h.err = io.EOF
	default:
		h.n = n
	}
	return true
}

// write writes on; false waits until there is room.
func (h *half) write(fd uintptr) bool {
	for h.n < len(h.p) {
		n, err := writeAgain(fd, h.p[h.n:])
		if err == syscall.EAGAIN {
			return false
		}
		if err != nil {
			h.err = err
			return true
		}
		h.n += n
	}
	return true
}
