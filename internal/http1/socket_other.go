//go:build !linux

package http1

import (
	"net"
	"syscall"
)

// rawSocket leaves sockets to package net here.
func rawSocket(net.Conn) syscall.RawConn { return nil }

func (s *socket) read(p []byte) (int, error) { return s.nc.Read(p) }

func (s *socket) write(p []byte) (int, error) { return s.nc.Write(p) }

func (s *socket) failed(_ string, err error) error { return err }

func writeAgain(uintptr, []byte) (int, error) { return 0, syscall.ENOSYS }
