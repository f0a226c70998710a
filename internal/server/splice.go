package server

import (
	"io"
	"net"
	"sync"
	"time"
)

// splice joins a function's connection with Moat's own port, so that what a function asks
// of its endpoint is asked like anything else: with a signature, under its role's policies.
func splice(c net.Conn, address string) {
	defer c.Close()
	to, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return
	}
	defer to.Close()
	var both sync.WaitGroup
	both.Go(func() { copyHalf(to, c) })
	both.Go(func() { copyHalf(c, to) })
	both.Wait()
}

func copyHalf(dst, src net.Conn) {
	_, _ = io.Copy(dst, src)
	if half, ok := dst.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	dst.Close()
}
