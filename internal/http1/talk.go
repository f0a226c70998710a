package http1

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

// talk is a call that is sent in one piece, over a socket. All of it happens in one turn there:
// the other side can say nothing before we wait for it that the wait would not see, so nothing
// is read only to find that there is nothing yet.
type talk struct {
	step  func(fd uintptr) bool // made once
	phase talkPhase
	sent  int // of the upstream's out
	n     int // read
	err   error
}

type talkPhase uint8

const (
	talkLook talkPhase = iota // whether a kept connection is as it was left
	talkSend
	talkRead
)

// converse sends what out holds and reads the head of the answer.
func (u *upstream) converse(call *Call, now time.Time) (*Reply, error) {
	t := &u.talk
	if t.step == nil {
		t.step = u.turn
	}
	if t.phase, t.sent, t.n, t.err = talkSend, 0, 0, nil; u.used {
		t.phase = talkLook
	}
	u.until(call.Deadline, now)
	if err := u.reply.cancelled(); err != nil { // its deadline may just have been undone
		u.letGo()
		return nil, err
	}
	err := u.socket.raw.Read(t.step)
	for err != nil && u.extend(err) {
		err = u.socket.raw.Read(t.step)
	}
	u.used = u.used || t.sent > 0
	switch {
	case t.err == errStale:
		u.letGo()
		return nil, errStale
	case t.phase == talkSend && t.err == syscall.EAGAIN: // the socket takes no more in
		u.limit(call.Deadline)
		if n, err := u.socket.Write(u.out[t.sent:]); err != nil {
			return nil, u.broken(call, err, t.sent+n > 0)
		}
		return u.answer(call, nil)
	case t.phase != talkRead:
		if err == nil {
			err = u.socket.failed("write", t.err)
		}
		return nil, u.broken(call, err, t.sent > 0)
	case err == nil && t.err != nil:
		err = u.socket.failed("read", t.err)
	}
	if err := u.come(call, t.n, readError(err), false); err != nil {
		return nil, u.abandon(nil, err)
	}
	return u.answer(call, nil)
}

// turn is a turn at the socket; false waits until there is something to read.
func (u *upstream) turn(fd uintptr) bool {
	t := &u.talk
	if t.phase == talkLook {
		if _, err := readAgain(fd, u.stream.buf[:1]); err != syscall.EAGAIN {
			t.err = errStale
			return true
		}
		t.phase = talkSend
	}
	if t.phase == talkSend {
		for t.sent < len(u.out) {
			n, err := writeAgain(fd, u.out[t.sent:])
			if err != nil {
				t.err = err
				return true
			}
			t.sent += n
		}
		t.phase = talkRead
		return false
	}
	n, err := readAgain(fd, u.stream.buf)
	if err == syscall.EAGAIN {
		return false
	}
	if t.n, t.err = n, err; n == 0 && err == nil {
		t.err = io.EOF
	}
	return true
}

// until makes a deadline hold. One that stands and is earlier is left to pass: only then is the
// other set, which saves it for nearly every call.
func (u *upstream) until(deadline, now time.Time) {
	if u.at = deadline; deadline.IsZero() && u.stands.IsZero() && u.limited {
		u.limit(deadline)
	}
	if deadline.IsZero() {
		return
	}
	if !u.pool.c.real {
		u.at = time.Now().Add(deadline.Sub(now))
	}
	if u.stands.IsZero() || u.stands.After(u.at) {
		u.limited, u.stands = true, u.at
		_ = u.nc.SetDeadline(u.at)
	}
}

// extend reports whether err is the end of a deadline that was left to pass. The call's own, where it
// has one, holds then.
func (u *upstream) extend(err error) bool {
	if u.stands.IsZero() || !errors.Is(err, os.ErrDeadlineExceeded) || !u.at.IsZero() && !time.Now().Before(u.at) {
		return false
	}
	u.stands, u.limited = u.at, !u.at.IsZero()
	_ = u.nc.SetDeadline(u.at)
	return u.reply.cancelled() == nil
}

// Read reads from the connection.
func (u *upstream) Read(p []byte) (int, error) {
	n, err := u.socket.Read(p)
	for err != nil && n == 0 && u.extend(err) {
		n, err = u.socket.Read(p)
	}
	return n, err
}
