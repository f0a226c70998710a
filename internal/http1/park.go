package http1

// parkAfter is how long a connection must have waited before it gives its goroutine back.
// Clients at work ask again sooner, and nothing of this is on their way.
const parkAfter = 2 * tick

// lot holds the connections that are parked: they wait for their next request without a
// goroutine, in a kernel queue of our own, beside the runtime's. Such a connection costs
// its socket and about half a kilobyte; with a goroutine it would hold the stack on which
// its last request ran, some kilobytes that the runtime takes back slowly.
//
// The server's mu guards it. Who takes a connection out of it (unpark) owns the connection.
type lot struct {
	queue *queue          // nil: nobody has parked yet
	conns map[int32]*conn // by descriptor
	next  int64           // before it nobody's limit is over
	stay  uint32          // numbers the stays: a descriptor serves one connection after the other
	shut  bool            // nobody parks
}

// nudge asks a connection that has waited for long to park. The server's mu is held.
func (c *conn) nudge(now int64) {
	at := c.watch.at.Load() // it is 0 until the connection is made ready
	if at <= 0 || c.bound || c.raw == nil || now < at-c.patience()+int64(parkAfter) || !c.state.CompareAndSwap(stateIdle, stateNudged) {
		return
	}
	_ = c.nc.SetReadDeadline(past())
}

// patience is how long the connection may wait for a request.
func (c *conn) patience() int64 {
	if !c.served.Load() {
		return int64(c.srv.cfg.FirstTimeout)
	}
	return int64(c.srv.cfg.IdleTimeout)
}

// park hands a connection that waits to the lot. Afterwards its goroutine must not touch it
// any more. The server's mu is held.
func (c *conn) park() bool {
	s := c.srv
	at := c.watch.at.Load()
	if at <= 0 || s.lot.shut || s.draining.Load() {
		return false
	}
	if err := s.lot.open(s); err != nil {
		s.lot.shut = true
		s.cfg.Log.Warn("http1: connections that wait keep their goroutines", "reason", err)
		return false
	}
	s.lot.stay++
	c.stay = s.lot.stay
	if !s.lot.queue.add(c) {
		return false
	}
	c.remote, c.try, c.err = "", nil, nil // what can be made again
	delete(s.conns, c)
	s.lot.conns[c.fd] = c
	if s.lot.next == 0 || at < s.lot.next {
		s.lot.next = at
	}
	return true
}

func (l *lot) open(s *Server) error {
	if l.conns != nil {
		return nil
	}
	q, err := newQueue()
	if err != nil {
		return err
	}
	l.queue, l.conns = q, map[int32]*conn{}
	go q.run(s.stirred)
	return nil
}

// stirred is told by the queue that something happened on a descriptor, in one of its stays.
func (s *Server) stirred(fd int32, stay uint32, closing bool) {
	s.mu.Lock()
	c := s.lot.conns[fd]
	if c == nil || c.stay != stay {
		s.mu.Unlock() // it was taken out meanwhile
		return
	}
	s.unpark(c)
	s.mu.Unlock()
	if closing && c.left() {
		s.dismiss(c)
		return
	}
	s.resume(c)
}

// unpark takes a connection out of the lot, with mu held.
func (s *Server) unpark(c *conn) {
	delete(s.lot.conns, c.fd)
	s.conns[c] = struct{}{}
	c.state.Store(stateBusy)
}

// resume gives a connection that was unparked a goroutine again.
func (s *Server) resume(c *conn) {
	s.lot.queue.remove(c)
	c.remote = c.nc.RemoteAddr().String()
	go c.serve()
}

// dismiss ends a connection that was unparked.
func (s *Server) dismiss(c *conn) {
	s.lot.queue.remove(c)
	c.nc.Close()
	s.forget(c)
}

// overdue unparks the connections whose limit is over, with mu held.
func (s *Server) overdue(now int64) (over []*conn) {
	if s.lot.next == 0 || now < s.lot.next {
		return nil
	}
	s.lot.next = 0
	for _, c := range s.lot.conns {
		switch at := c.watch.at.Load(); {
		case c.watch.over(now):
			over = append(over, c)
		case s.lot.next == 0 || at < s.lot.next:
			s.lot.next = at
		}
	}
	for _, c := range over {
		s.unpark(c)
	}
	return over
}

// clearLot ends the parked connections while the server drains. What a client has sent is
// still answered, and one that has not asked anything yet has a moment to do it.
func (s *Server) clearLot() {
	s.mu.Lock()
	var all []*conn
	now := s.cfg.Now().UnixNano()
	for _, c := range s.lot.conns {
		if !c.fresh(now) {
			all = append(all, c)
		}
	}
	for _, c := range all {
		s.unpark(c)
	}
	s.mu.Unlock()
	for _, c := range all {
		if c.waiting() {
			s.resume(c)
		} else {
			s.dismiss(c)
		}
	}
}

// fresh reports whether a connection has not asked anything yet and is young.
func (c *conn) fresh(now int64) bool { return !c.served.Load() && now-c.born < int64(lastCall) }

// watching counts those who keep the time of a listener's connections. With the last of
// them the lot is closed: it is empty.
func (s *Server) watching(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watchers += n; s.watchers == 0 && s.lot.conns != nil && len(s.lot.conns) == 0 {
		s.lot.queue.close()
		s.lot.conns = nil
	}
}
