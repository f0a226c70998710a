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
	if born, ok := r.Context().Value(bornKey{}).(time.Time); ok && d.cfg.Now().Sub(born) > lifetime {
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
