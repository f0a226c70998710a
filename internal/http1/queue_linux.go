package http1

import (
	"os"
	"syscall"
)

// queue tells when something happens on parked connections: an epoll instance. Each
// descriptor is in the runtime's, too, which has nobody to wake meanwhile.
type queue struct {
	file *os.File // it waits for the instance by the runtime's poller
	raw  syscall.RawConn
}

// eventBatch is how many events are taken at once.
const eventBatch = 128

func newQueue() (*queue, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	q := &queue{file: os.NewFile(uintptr(fd), "epoll")}
	if q.raw, err = q.file.SyscallConn(); err != nil {
		q.file.Close()
		return nil, err
	}
	return q, nil
}

func (q *queue) close() { q.file.Close() }

// run calls tell for each event until the queue is closed: of which descriptor, in which of
// its stays, and whether the other side may have closed.
func (q *queue) run(tell func(fd int32, stay uint32, closing bool)) {
	events := make([]syscall.EpollEvent, eventBatch)
	n := 0
	take := func(fd uintptr) bool {
		err := error(syscall.EINTR)
		for err == syscall.EINTR {
			n, err = syscall.EpollWait(int(fd), events, 0)
		}
		return n != 0
	}
	for q.raw.Read(take) == nil && n > 0 {
		for _, e := range events[:n] {
			tell(e.Fd, uint32(e.Pad), e.Events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0)
		}
	}
}

// add makes the queue tell once of c's descriptor, which it notes.
func (q *queue) add(c *conn) (ok bool) {
	err := c.raw.Control(func(fd uintptr) {
		c.fd = int32(fd)
		e := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT, Fd: c.fd, Pad: int32(c.stay)}
		err := q.control(syscall.EPOLL_CTL_ADD, int(fd), &e)
		if err == syscall.EEXIST {
			err = q.control(syscall.EPOLL_CTL_MOD, int(fd), &e)
		}
		ok = err == nil
	})
	return ok && err == nil
}

// remove takes c's descriptor out, as long as it is c's.
func (q *queue) remove(c *conn) {
	_ = c.raw.Control(func(fd uintptr) {
		_ = q.control(syscall.EPOLL_CTL_DEL, int(fd), nil)
	})
}

func (q *queue) control(op, fd int, e *syscall.EpollEvent) (err error) {
	if failed := q.raw.Control(func(ep uintptr) {
		err = syscall.EpollCtl(int(ep), op, fd, e)
	}); failed != nil {
		return failed
	}
	return err
}
