package server

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
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
	share, ok := d.shares.take(r.RemoteAddr)
	if !ok {
		turnAway(w, http.StatusServiceUnavailable, "too many requests of this address are under way")
		return
	}
	defer d.shares.give(share)
	if born, ok := r.Context().Value(bornKey{}).(time.Time); d.leaving.Load() || ok && d.cfg.Now().Sub(born) > lifetime {
		w.Header().Set("Connection", "close") // HTTP/2 says it in its own way
	}
	if status, text := unfit(r); status != 0 {
		w.Header().Set("Connection", "close")
		turnAway(w, status, text)
		return
	}
	delete(r.Header, "Host") // of HTTP/2, beside its own
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

// Bounds of a head, as our own engine has them.
const (
	maxTarget = 16 << 10
	maxFields = 128
)

// unfit refuses what our own engine does not read and net/http does.
func unfit(r *http.Request) (status int, text string) {
	fields := 1 // Host
	for _, values := range r.Header {
		fields += len(values)
	}
	switch {
	case r.Method == http.MethodConnect:
		return http.StatusNotImplemented, "CONNECT is not served"
	case r.ProtoMajor == 1 && r.ProtoMinor > 1:
		return http.StatusHTTPVersionNotSupported, "the version is not 1.0 or 1.1"
	case len(r.RequestURI) > maxTarget:
		return http.StatusRequestURITooLong, "the target is too long"
	case fields > maxFields:
		return http.StatusRequestHeaderFieldsTooLarge, "the header has too many fields"
	case r.ProtoMajor > 1 && !consistent(r):
		return http.StatusBadRequest, "Host or Content-Length says something else than the request"
	case r.RequestURI == "*" && r.Method != http.MethodOptions:
		return http.StatusBadRequest, "the target has no form that fits the method"
	}
	for i := 0; i < len(r.RequestURI); i++ {
		if c := r.RequestURI[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return http.StatusBadRequest, "the target holds what a URI cannot"
		}
	}
	if scheme, _, ok := strings.Cut(r.RequestURI, ":"); r.RequestURI[:1] != "/" && r.RequestURI != "*" && (!ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https")) {
		return http.StatusBadRequest, "the target has no form that fits the method"
	}
	return 0, ""
}

// consistent reports whether the fields of a request of HTTP/2 say what its frames do: its host and
// its length have other sources there, and who reads the fields behind us must not find another.
func consistent(r *http.Request) bool {
	for _, host := range r.Header["Host"] {
		if !strings.EqualFold(host, r.Host) {
			return false
		}
	}
	lengths := r.Header["Content-Length"]
	if len(lengths) == 0 {
		return true
	}
	n, err := strconv.ParseUint(lengths[0], 10, 63)
	return len(lengths) == 1 && err == nil && int64(n) == r.ContentLength
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
