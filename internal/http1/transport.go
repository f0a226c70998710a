package http1

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
)

// maxKept is the largest body that a [Transport] holds in memory, so that it can be sent again.
const maxKept = 1 << 20

// Transport is an http.RoundTripper over a [Client]. A request for another scheme than http and
// https, for a host that is none, or with trailers is refused with [ErrField].
type Transport struct{ Client *Client }

// RoundTrip sends a request. The context's deadline is that of the call, and of its answer.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	target := escaped(req.URL.RequestURI())
	if req.URL.Scheme != "http" && req.URL.Scheme != "https" || !validHost(host) || !validHost(req.URL.Host) || len(req.Trailer) > 0 {
		closeBody(req)
		return nil, ErrField
	}
	call := &Call{Method: req.Method, Target: target, Host: host, Context: req.Context()}
	if call.Method == "" {
		call.Method = http.MethodGet
	}
	call.Deadline, _ = req.Context().Deadline()
	call.Fields = make([]Field, 0, len(req.Header))
	for name, values := range req.Header {
		for _, v := range values {
			call.Fields = append(call.Fields, Field{name, v})
		}
	}
	if err := call.take(req); err != nil {
		return nil, err
	}
	reply, err := t.Client.Pool(req.URL.Scheme, req.URL.Host).Do(call)
	if err != nil {
		if errors.Is(err, ErrTimeout) {
			err = context.DeadlineExceeded
		}
		return nil, err
	}
	return reply.toHTTP(req), nil
}

// CloseIdle closes the connections that wait.
func (t *Transport) CloseIdle() { t.Client.CloseIdle() }

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

// escaped writes what no target may hold as escapes: net/url leaves a query as it came.
func escaped(target string) string {
	if validTarget([]byte(target)) {
		return target
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(target)+16)
	for i := 0; i < len(target); i++ {
		if c := target[i]; validTarget([]byte{c}) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

// take reads a body that is short into memory, and leaves a long one to be streamed.
func (c *Call) take(req *http.Request) error {
	if req.Body == nil || req.Body == http.NoBody {
		return nil
	}
	if req.ContentLength <= 0 || req.ContentLength > maxKept {
		c.Body, c.Length = req.Body, req.ContentLength
		if c.Length == 0 {
			c.Length = -1
		}
		return nil
	}
	defer req.Body.Close()
	c.Content = make([]byte, req.ContentLength)
	if _, err := io.ReadFull(req.Body, c.Content); err != nil {
		return &SourceError{err}
	}
	return nil
}

// toHTTP copies the head for whoever may keep it. The body belongs to the connection until
// it is closed.
func (r *Reply) toHTTP(req *http.Request) *http.Response {
	resp := &http.Response{Status: http.StatusText(r.Status), StatusCode: r.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: r.Minor, Header: make(http.Header, len(r.Fields)), ContentLength: r.Length, Request: req, Close: !r.keep}
	if r.Minor == 0 {
		resp.Proto = "HTTP/1.0"
	}
	size := 0
	for _, f := range r.Fields {
		size += len(f.Name) + len(f.Value)
	}
	var b strings.Builder
	b.Grow(size)
	for _, f := range r.Fields {
		if r.head.head.close && Is(f.Name, "connection") {
			continue // as net/http has it
		}
		at := b.Len()
		b.WriteString(f.Name)
		b.WriteString(f.Value)
		text := b.String()[at:] // the builder has room for all: what it gave stays
		name := http.CanonicalHeaderKey(text[:len(f.Name)])
		resp.Header[name] = append(resp.Header[name], text[len(f.Name):])
	}
	if bodyless(r.Status) {
		resp.ContentLength = 0
	}
	resp.Body = &replyBody{r: r}
	if r.body.over() {
		r.Close()
		resp.Body = http.NoBody
	}
	return resp
}

// replyBody closes its reply once: the reply is another call's after that.
type replyBody struct{ r *Reply }

func (b *replyBody) Read(p []byte) (int, error) {
	if b.r == nil {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.r.Read(p)
}

func (b *replyBody) Close() error {
	if r := b.r; r != nil {
		b.r = nil
		r.Close()
	}
	return nil
}
