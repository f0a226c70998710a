package http1

import "time"

// phase is the time of an answer whose call has a Timeout: the deadline of the call holds for its
// head and what comes along with it, then each read of the content has as long again.
type phase struct {
	pause time.Duration // 0: the deadline of the call is all
	end   time.Time     // of the whole; zero: not begun
}

// pace makes an answer ready for its call.
func (r *Reply) pace(call *Call) {
	r.phase = phase{}
	if call.phased {
		r.pause = call.Timeout
	}
}

// extend begins the time of one read.
func (r *Reply) extend() error {
	now := time.Now()
	switch {
	case r.end.IsZero(): // the first read has what is left of the head's time
		r.end = now.Add(r.u.pool.c.cfg.BodyTimeout)
		return nil
	case now.After(r.end):
		return ErrTimeout
	}
	if u := r.u; !u.stands.IsZero() { // see until
		u.at = now.Add(r.pause)
		return nil
	}
	r.u.limited = true
	return r.u.nc.SetReadDeadline(now.Add(r.pause))
}
