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
	err  error
}

// SourceError is a failure to read the content of a call, as opposed to one to send it.
type SourceError struct{ Err error }

// Error gives the cause.
func (e *SourceError) Error() string { return "http1: the content: " + e.Err.Error() }

// Unwrap gives the cause.
func (e *SourceError) Unwrap() error { return e.Err }

func startPump(u *upstream, call *Call) *pump {
	p := &pump{u: u, done: make(chan struct{})}
	body, length := call.Body, call.Length
	if body == nil {
		body, length = bytes.NewReader(call.Content), int64(len(call.Content))
	}
	p.body = body
	if b, ok := body.(*Body); ok {
		b.invite() // here: the answer belongs to this goroutine
	}
	go func() {
		defer close(p.done)
		if p.err = p.send(body, length); p.err == nil {
			p.ok.Store(true)
			return
		}
		// What was sent is no whole request: nobody may take it for one.
		if _, bad := p.err.(*SourceError); bad {
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

// end stops a pump whose connection was closed. A body of this package is not read any more
// when it returns; others must bear to be read after their handler.
func (p *pump) end() {
	switch b := p.body.(type) {
	case *Body:
		if !p.finished() {
			b.interrupt()
			<-p.done
			b.resume()
		}
	case *bytes.Reader: // the caller's content, which is its own again
		<-p.done
	}
}

func (p *pump) send(body io.Reader, length int64) error {
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
		n, err := body.Read(piece)
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
