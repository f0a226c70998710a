package server

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// maxRunning is how many requests net/http may have in handlers at once; our own engine has
// the same bound of its own. A connection of HTTP/2 brings many.
const maxRunning = 4096

// lifetime is how long a connection may serve; our own engine has the same bound of its own.
const lifetime = time.Hour

type bornKey struct{}

// born notes when a connection of net/http's began.
func (s *Server) born(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, bornKey{}, s.cfg.Now())
}

// door is what every request that net/http has read goes through: it holds them to what the
// engine of the plain port holds its own to.
type door struct{ *Server }

func (d door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.atDoor.Add(1) > maxRunning {
		d.atDoor.Add(-1)
		turnAway(w, http.StatusServiceUnavailable, "the server is busy")
		return
	}
	defer d.atDoor.Add(-1)
	if born, ok := r.Context().Value(bornKey{}).(time.Time); d.leaving.Load() || ok && d.cfg.Now().Sub(born) > lifetime {
		w.Header().Set("Connection", "close") // HTTP/2 says it in its own way
	}
	if r.Method == http.MethodConnect {
		w.Header().Set("Connection", "close")
		turnAway(w, http.StatusNotImplemented, "CONNECT is not served")
		return
	}
	if wishes, ok := r.Header["Upgrade"]; ok {
		// Whoever asks for another protocol may believe that he got it: nothing that he sends
		// behind is read. What he wished is nobody's business behind us.
		if r.ProtoMajor == 1 && !(len(wishes) == 1 && strings.EqualFold(wishes[0], "h2c")) {
			w.Header().Set("Connection", "close")
		}
		delete(r.Header, "Upgrade")
		delete(r.Header, "Http2-Settings")
	}
	r, body := withDeadline(w, r)
	timed := newTimedWriter(w, body)
	defer timed.last()
	d.Server.ServeHTTP(timed, r)
}

// counted counts the connections that net/http has.
func (s *Server) counted(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.secure.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.secure.Add(-1)
	}
}

// pauseAtWork is what a client at work needs at most between an answer and its next request.
const pauseAtWork = 400 * time.Millisecond

// lastRequests lets clients of net/http that are at work ask once more, and tells them with the
// answer that it is the last. net/http itself closes connections that wait at once, and loses what
// is on its way to them.
func (s *Server) lastRequests(ctx context.Context) {
	s.leaving.Store(true)
	end := time.NewTimer(pauseAtWork)
	defer end.Stop()
	tick := time.NewTicker(pauseAtWork / 40)
	defer tick.Stop()
	for s.secure.Load() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-end.C:
			return
		case <-tick.C:
		}
	}
}

// turnAway answers with a status and one sentence.
func turnAway(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}
