package gateway

import (
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
)

// ServeAPI answers a request that net/http has read. path is the escaped path below
// the stage, as it was sent. Which API and stage are meant is the caller's to say.
func (g *Gateway) ServeAPI(w http.ResponseWriter, r *http.Request, apiID, stage, path string) {
	g.serveVia(nil, w, r, apiID, stage, path, nil)
}

func (g *Gateway) serveVia(e *VPCEndpoint, w http.ResponseWriter, r *http.Request, apiID, stage, path string, via *Via) {
	x := g.pool.Get().(*Exchange)
	fields := x.Fields[:0]
	x.renew()
	out := netWriter{w: w, proto: r.Proto}
	x.Context, x.APIID, x.Stage, x.Method, x.Path, x.Target, x.RawQuery = r.Context(), apiID, stage, r.Method, path, target(r), r.URL.RawQuery
	x.Host, x.Proto, x.RemoteIP, x.Secure, x.Body, x.Length = r.Host, r.Proto, remoteIP(r.RemoteAddr), r.TLS != nil, r.Body, r.ContentLength
	x.TLS, x.Endpoint = r.TLS, e
	if x.Via = via; via != nil {
		x.CustomDomain = via.Domain.Name
	}
	for name, values := range r.Header {
		for _, v := range values {
			fields = append(fields, Field{name, v})
		}
	}
	x.Fields, x.Out = fields, &out
	defer g.recovered(x, &out)
	g.Serve(x)
}

// answering is a [Writer] that knows whether the answer has begun.
type answering interface {
	Writer
	started() bool
}

// recovered gives the exchange back, or answers for a step that panicked.
func (g *Gateway) recovered(x *Exchange, out answering) {
	p := recover()
	if p == nil {
		x.Body, x.Out, x.TLS = nil, nil, nil
		g.pool.Put(x)
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	g.cfg.Log.Error("gateway: a step panicked", "step", x.step, "panic", p, "stack", string(debug.Stack()))
	x.finish()
	if out.started() {
		out.Abort()
		return
	}
	r := refuse(Default5XX, "the step panicked")
	x.refused(r)
	x.record(r, r)
}

// target is the path as it was sent, for the signature.
func target(r *http.Request) string {
	uri, _, _ := strings.Cut(r.RequestURI, "?")
	if strings.HasPrefix(uri, "/") {
		return uri
	}
	if _, rest, ok := strings.Cut(uri, "://"); ok { // absolute form (RFC 9112 section 3.2.2)
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			return rest[i:]
		}
		return "/"
	}
	return r.URL.EscapedPath()
}

func remoteIP(addr string) string {
	if i := strings.IndexByte(addr, ':'); i > 0 && strings.IndexByte(addr[i+1:], ':') < 0 && '0' <= addr[0] && addr[0] <= '9' {
		return addr[:i] // IPv4
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	host, _, _ = strings.Cut(host, "%")
	return host
}

// netWriter is a [Writer] over net/http.
type netWriter struct {
	w      http.ResponseWriter
	proto  string
	begun  bool
	upload passed // that is passed on as it comes
}

// Head sends status and fields. Names keep their case but where net/http itself looks
// for them.
func (n *netWriter) Head(status int, fields []Field, length int64) {
	h := n.w.Header()
	for _, f := range fields {
		name := f.Name
		switch lower := alias(name); lower {
		case "content-type", "content-length", "date", "connection", "transfer-encoding", "trailer", "content-encoding":
			name = http.CanonicalHeaderKey(lower)
		}
		h[name] = append(h[name], f.Value)
	}
	if h["Content-Type"] == nil {
		h["Content-Type"] = nil // no guessing from the body
	}
	if length >= 0 && !bodyless(status) {
		h["Content-Length"] = []string{strconv.FormatInt(length, 10)}
	}
	if n.closing() {
		h["Connection"] = []string{"close"}
	}
	n.begun = true
	n.w.WriteHeader(status)
}

func (n *netWriter) started() bool { return n.begun }

func (n *netWriter) Write(p []byte) (int, error) { return n.w.Write(p) }

func (n *netWriter) Flush() {
	if f, ok := n.w.(http.Flusher); ok {
		f.Flush()
	}
}

// Abort breaks the connection off, so that the client cannot take a part for the whole.
func (n *netWriter) Abort() { panic(http.ErrAbortHandler) }
