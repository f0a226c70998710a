package main

import (
	"bufio"
	"bytes"
	"net"
	"sync"
)

// backend is the service behind the API: it answers each request with the same 200
// bytes of JSON and costs next to nothing.
type backend struct {
	listener net.Listener
	mu       sync.Mutex
	conns    map[net.Conn]bool
	running  sync.WaitGroup
}

func newBackend() (*backend, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &backend{listener: l, conns: map[net.Conn]bool{}}
	b.running.Go(b.accept)
	return b, nil
}

func (b *backend) url() string { return "http://" + b.listener.Addr().String() + "/" }

func (b *backend) close() {
	b.listener.Close()
	b.mu.Lock()
	for c := range b.conns {
		c.Close()
	}
	b.mu.Unlock()
	b.running.Wait()
}

func (b *backend) accept() {
	for {
		c, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.mu.Lock()
		b.conns[c] = true
		b.mu.Unlock()
		b.running.Go(func() {
			answer(c)
			c.Close()
			b.mu.Lock()
			delete(b.conns, c)
			b.mu.Unlock()
		})
	}
}

// backendBytes is the length of the backend's answer.
const backendBytes = 200

// answer serves requests without a body until the connection ends.
func answer(c net.Conn) {
	body := append(append([]byte(`{"text":"`), bytes.Repeat([]byte("x"), 189)...), `"}`...)
	reply := append([]byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 200\r\n\r\n"), body...)
	in := bufio.NewReaderSize(c, 16<<10)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		if len(line) <= 2 { // the end of a header
			if _, err := c.Write(reply); err != nil {
				return
			}
		}
	}
}
