package sandbox

import (
	"net"
	"testing"
)

func TestAtMost(t *testing.T) {
	t.Parallel()
	began, release := make(chan struct{}), make(chan struct{})
	handle := atMost(1, func(c net.Conn) {
		began <- struct{}{}
		<-release
		_ = c.Close()
	})
	connect := func() net.Conn {
		function, door := net.Pipe()
		t.Cleanup(func() { _ = function.Close() })
		go handle(door)
		return function
	}
	first := connect()
	<-began
	if _, err := connect().Read(make([]byte, 1)); err == nil {
		t.Error("one connection too many was served")
	}
	close(release)
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Error("the first one was not ended by its handler")
	}
}
