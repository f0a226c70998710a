package sandbox

import (
	"bytes"
	"os"
	"sync"
	"syscall"
	"time"
)

// maxLogLine is where a line is broken that has no end; Lambda's limit of a log
// event is 256 KB.
const maxLogLine = 256 << 10

// A reader rests after each megabyte that comes without a pause: a process that writes
// without end must not keep a processor busy with listening to it.
const (
	piecesAtOnce = 64 // of 16 KB
	rest         = 100 * time.Millisecond
)

// logPipe reads what the processes of an environment write to their output, breaks
// it into lines and passes them on, in the order of writing.
type logPipe struct {
	file *os.File
	raw  syscall.RawConn
	sink LogSink
	done chan struct{}

	mu      sync.Mutex
	partial []byte
	last    []byte // the end of the log of the invocation under way
	buf     [16 << 10]byte
}

func newLogPipe(f *os.File, sink LogSink) *logPipe {
	p := &logPipe{file: f, sink: sink, done: make(chan struct{})}
	p.raw, _ = f.SyscallConn() // fails only for a closed file, and then reading does too
	return p
}

// run reads until every writer is gone or finish is called.
func (p *logPipe) run() {
	defer close(p.done)
	if p.raw == nil {
		return
	}
	_ = p.raw.Read(func(fd uintptr) bool {
		for n := 1; ; n++ {
			if more, end := p.read(fd); !more {
				return end
			}
			if n%piecesAtOnce == 0 { // who writes faster than this waits for its reader
				time.Sleep(rest)
			}
		}
	})
}

// drain takes in what has been written so far, within reason: a process that never
// stops writing must not hold up the end of an invocation.
func (p *logPipe) drain() {
	if p.raw == nil {
		return
	}
	_ = p.raw.Control(func(fd uintptr) {
		for range piecesAtOnce {
			if more, _ := p.read(fd); !more {
				return
			}
		}
	})
}

// finish takes in the rest and closes the pipe, whoever still holds its other end.
func (p *logPipe) finish() {
	p.drain()
	_ = p.file.Close()
	<-p.done
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.partial) > 0 {
		p.emit(string(p.partial) + "\n")
		p.partial = nil
	}
}

// read consumes one piece without waiting. more says that there may be another,
// end that there will never be one.
func (p *logPipe) read(fd uintptr) (more, end bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := syscall.Read(int(fd), p.buf[:])
	switch {
	case err == syscall.EINTR:
		return true, false
	case err == syscall.EAGAIN:
		return false, false
	case err != nil || n == 0:
		return false, true
	}
	p.split(p.buf[:n])
	return true, false
}

// split emits the complete lines of data and keeps the rest.
func (p *logPipe) split(data []byte) {
	for len(data) > 0 {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			p.partial = append(p.partial, data...)
			if len(p.partial) >= maxLogLine {
				p.emit(string(p.partial) + "\n")
				p.partial = nil
			}
			return
		}
		p.emit(string(p.partial) + string(data[:i+1]))
		p.partial = p.partial[:0]
		data = data[i+1:]
	}
}

// begin starts the log of an invocation.
func (p *logPipe) begin(requestID, version string) {
	p.drain()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = p.last[:0]
	p.emit("START RequestId: " + requestID + " Version: " + version + "\n")
}

// line adds a line of the platform's own; what the function left without a newline
// is ended first.
func (p *logPipe) line(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.partial) > 0 {
		p.emit(string(p.partial) + "\n")
		p.partial = p.partial[:0]
	}
	p.emit(text)
}

func (p *logPipe) emit(text string) {
	p.last = append(p.last, text...)
	if extra := len(p.last) - LogTailBytes; extra > 0 {
		p.last = append(p.last[:0], p.last[extra:]...)
	}
	if p.sink != nil {
		p.sink.Log(LogEvent{Time: time.Now(), Message: text})
	}
}

// tail gives a copy of the end of the invocation's log.
func (p *logPipe) tail() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.last)
}
