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
	to, err := functionDialer(address).Dial("tcp", address)
	if err != nil {
		return
	}
	defer to.Close()
	var both sync.WaitGroup
	both.Go(func() { copyHalf(to, c) })
	both.Go(func() { copyHalf(c, to) })
	both.Wait()
}

// functionDialer dials from [functionAddress], where Moat listens on an IPv4 address.
func functionDialer(address string) *net.Dialer {
	d := &net.Dialer{Timeout: 5 * time.Second}
	if host, _, err := net.SplitHostPort(address); err == nil {
		if ip := net.ParseIP(host); ip != nil && ip.To4() != nil && ip.IsLoopback() {
			d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(functionAddress)}
		}
	}
	return d
}

func copyHalf(dst, src net.Conn) {
	_, _ = io.Copy(dst, src)
	if half, ok := dst.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	dst.Close()
}
