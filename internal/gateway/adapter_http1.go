package gateway

import (
	"context"
	"unsafe"

	"moat/internal/http1"
)

// ServeHTTP1 answers a request that the engine of the plain port has read. path is the
// escaped path below the stage, as it was sent; whoever calls has made sure that it is one.
// What the request says need not be owned, nor apiID, stage and path: what is kept of it is copied.
// ctx is the same for many requests and outlives their connections.
func (g *Gateway) ServeHTTP1(ctx context.Context, w *http1.Response, r *http1.Request, apiID, stage, path string) {
	g.serveHTTP1(ctx, nil, w, r, apiID, stage, path)
}

func (g *Gateway) serveHTTP1(ctx context.Context, e *VPCEndpoint, w *http1.Response, r *http1.Request, apiID, stage, path string) {
	x := g.pool.Get().(*Exchange)
	x.renew()
	x.whole, x.Endpoint = r, e
	x.Context, x.Lasting, x.APIID, x.Stage, x.Method, x.Path, x.Target, x.RawQuery = ctx, true, apiID, stage, r.Method, path, r.Path, r.RawQuery
	x.Host, x.Proto, x.RemoteIP, x.Fields, x.Body, x.Length, x.Out = r.Host, "HTTP/1.1", remoteIP(r.RemoteAddr), fieldsOf(r.Fields), r.Body, r.Length, (*http1Writer)(w)
	if r.Minor == 0 {
		x.Proto = "HTTP/1.0"
	}
	defer g.recovered(x, (*http1Writer)(w))
	g.Serve(x)
	x.Fields, x.whole = nil, nil // they are the connection's
}

// http1Writer is a [Writer] over the engine's own answer.
type http1Writer http1.Response

func (w *http1Writer) to() *http1.Response { return (*http1.Response)(w) }

// Head begins the answer.
func (w *http1Writer) Head(status int, fields []Field, length int64) {
	w.to().Head(status, unsafe.Slice((*http1.Field)(unsafe.Pointer(unsafe.SliceData(fields))), len(fields)), length)
}

func (w *http1Writer) started() bool { return w.to().Begun() }

func (w *http1Writer) Write(p []byte) (int, error) { return w.to().Write(p) }

// Flush sends what is kept.
func (w *http1Writer) Flush() { w.to().Flush() }

// Abort breaks the connection off.
func (w *http1Writer) Abort() { w.to().Abort() }

// fieldsOf gives the engine's fields our name, without copying them: both types are the
// same two strings.
func fieldsOf(f []http1.Field) []Field {
	_ = Field(http1.Field{}) // that they are, the compiler sees here
	return unsafe.Slice((*Field)(unsafe.Pointer(unsafe.SliceData(f))), len(f))
}

// renew empties an exchange, and keeps its memory.
func (x *Exchange) renew() {
	segs, reply, buf, line, direct, room, key, arn := x.segs[:0], x.reply.fields[:0], x.buf, x.lineRoom, x.direct.renewed(), x.room, x.cacheKey, x.arnRoom[:0]
	*x = Exchange{}
	x.segs, x.reply.fields, x.buf, x.direct, x.room = segs, reply, buf, direct, room
	if cap(key) <= maxRoom {
		x.cacheKey = key[:0]
	}
	if cap(arn) <= maxRoom {
		x.arnRoom = arn
	}
	if cap(line) <= 4<<10 {
		x.lineRoom = line
	}
	if room != nil {
		room.filled = false
	}
}
