package http1

import (
	"bytes"
	"io"
	"strconv"
	"sync/atomic"
	"time"
)

// pump sends a large content while the answer is read: an upstream that answers before it
// has read everything must not wait for us, nor we for it.
type pump struct {
	u    *upstream
	body io.Reader
	done chan struct{}
	last atomic.Bool // what is written now is the end
	ok   atomic.Bool
	bad  atomic.Bool // the content could not be read
	err  error
	call Call // without its fields; the caller may use his again
}

// SourceError is a failure to read the content of a call, as opposed to one to send it.
type SourceError struct{ Err error }

// Error gives the cause.
func (e *SourceError) Error() string { return "http1: the content: " + e.Err.Error() }

// Unwrap gives the cause.
func (e *SourceError) Unwrap() error { return e.Err }

// Interruptible is a content that can be taken back from who reads it. Interrupt makes a read
// that waits return, and each later one fail; when it returns, nobody reads any more.
type Interruptible interface {
	io.Reader
	Interrupt()
}

func startPump(u *upstream, call *Call) *pump {
	p := &pump{u: u, done: make(chan struct{}), call: Call{Timeout: call.Timeout, Context: call.Context, phased: call.phased}}
	body, length, first := call.Body, call.Length, call.Content
	if body == nil {
		body, length, first = bytes.NewReader(call.Content), int64(len(call.Content)), nil
	}
	p.body = body
	if b, ok := body.(*Body); ok {
		b.invite() // here: the answer belongs to this goroutine
		b.pump = p
	}
	go func() {
		defer close(p.done)
		if p.err = p.send(first, body, length); p.err == nil {
			p.pace(true)
			p.ok.Store(true)
			return
		}
		// What was sent is no whole request: nobody may take it for one.
		if _, bad := p.err.(*SourceError); bad {
			p.bad.Store(true)
			u.nc.Close()
		}
	}()
	return p
}

// finished reports whether everything was sent. The upstream's answer may overtake the
// return of the last write, which is waited for a moment.
func (p *pump) finished() bool {
	if p.last.Load() && !p.ok.Load() {
		t := time.NewTimer(lastWrite)
		defer t.Stop()
		select {
		case <-p.done:
		case <-t.C:
		}
	}
	return p.ok.Load()
}

const lastWrite = 20 * time.Millisecond

// reason is why a call ended with err: its content, where that could not be read.
func (p *pump) reason(err error) error {
	if p.bad.Load() {
		<-p.done
		return p.err
	}
	return err
}

// end stops a pump whose connection was closed. A body of this package, or an [Interruptible], is
// not read any more when it returns; others must bear to be read after their handler.
func (p *pump) end() {
	switch b := p.body.(type) {
	case *Body:
		if !p.finished() {
			b.interrupt()
			<-p.done
			b.resume()
		}
		b.pump = nil
	case Interruptible:
		if !p.finished() {
			b.Interrupt()
			<-p.done
		}
	case *bytes.Reader: // the caller's content, which is its own again
		<-p.done
	}
}

// pace begins the time that the upstream has for a piece of the content and, after the last,
// for its answer; while we wait for the client, none passes.
func (p *pump) pace(upstream bool) {
	if !p.call.phased {
		return
	}
	at := time.Time{}
	if upstream {
		at = time.Now().Add(p.call.Timeout)
	}
	_ = p.u.nc.SetDeadline(at)
	if p.call.Context != nil && p.call.Context.Err() != nil { // whose end may just have been undone
		_ = p.u.nc.SetDeadline(past())
	}
}

// send writes first, which is in memory, and what body gives.
func (p *pump) send(first []byte, body io.Reader, length int64) error {
	buf := make([]byte, 32<<10)
	const room = 18 // of a chunk's size
	for {
		piece := buf[room : len(buf)-2]
		if length >= 0 && int64(len(piece)) > length {
			piece = piece[:length]
		}
		if length == 0 {
			return nil
		}
		n, err := copy(piece, first), error(nil)
		if first = first[n:]; n == 0 {
			p.pace(false)
			n, err = body.Read(piece)
			p.pace(true)
		}
		if n > 0 {
			p.last.Store(length == int64(n))
			if err := p.write(buf, room, n, length < 0); err != nil {
				return err
			}
			if length > 0 {
				length -= int64(n)
			}
		}
		switch {
		case err == io.EOF && length < 0:
			p.last.Store(true)
			_, err := p.u.socket.Write([]byte("0\r\n\r\n"))
			return err
		case err == io.EOF && length == 0:
			return nil
		case err == io.EOF:
			return &SourceError{io.ErrUnexpectedEOF}
		case err != nil:
			return &SourceError{err}
		}
	}
}

// write sends what stands in buf[at:at+n], as a chunk where there is no length.
func (p *pump) write(buf []byte, at, n int, chunk bool) error {
	out := buf[at : at+n]
	if chunk {
		var size [16]byte
		line := append(strconv.AppendInt(size[:0], int64(n), 16), '\r', '\n')
		from := at - len(line)
		copy(buf[from:], line)
		copy(buf[at+n:], "\r\n")
		out = buf[from : at+n+2]
	}
	_, err := p.u.socket.Write(out)
	return err
}
