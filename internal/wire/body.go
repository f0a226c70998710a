package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"moat/internal/pure/sigv4"
)

// bodyLimit is the bound on a request's body for an API.
func (p *Pipeline) bodyLimit(api *API) int64 {
	if api.Endpoint == "lambda" {
		return max(p.cfg.MaxBody, packageMaxBody)
	}
	return p.cfg.MaxBody
}

// readBody reads the request's body, once, up to the limit of its API. A body in
// another coding than its own is refused: nothing here decompresses.
func (x *exchange) readBody() error {
	if x.bodyRead {
		return nil
	}
	body, coding := io.Reader(x.r.Body), x.r.Header.Get("Content-Encoding")
	if x.chunks != nil {
		body, coding = x.chunks, withoutChunked(coding)
	}
	if coding != "" && !strings.EqualFold(coding, "identity") {
		return NewError(http.StatusUnsupportedMediaType, "UnsupportedMediaTypeException", "The content encoding "+quoted(coding)+" is not supported")
	}
	if x.chunks == nil && x.r.ContentLength > x.limit { // the coding of chunks is longer than what it holds
		return tooLarge(x.limit)
	}
	room := x.takeRoom()
	if n := min(x.r.ContentLength, 1<<20); n >= int64(cap(room)) {
		room = make([]byte, 0, n+1)
	}
	b, err := readAll(body, room, x.limit)
	if bad := (*sigv4.Error)(nil); errors.As(err, &bad) {
		return x.signatureError(err)
	}
	if err != nil {
		return unreadableBody(err)
	}
	if int64(len(b)) > x.limit {
		return tooLarge(x.limit)
	}
	x.message.body, x.bodyRead = b, true
	x.record.BytesIn = int64(len(b))
	return nil
}

// readAll is io.ReadAll into b, which has room for a byte more than comes or grows; it ends early
// when more than limit bytes have come.
func readAll(r io.Reader, b []byte, limit int64) ([]byte, error) {
	for int64(len(b)) <= limit {
		if len(b) == cap(b) {
			b = slices.Grow(b, bytes.MinRead)
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
	return b, nil
}

// withoutChunked leaves out of a list of codings the one that [sigv4.Chunks] decodes.
func withoutChunked(codings string) string {
	first, rest, _ := strings.Cut(codings, ",")
	if strings.EqualFold(strings.TrimSpace(first), "aws-chunked") {
		return strings.TrimSpace(rest)
	}
	return codings
}

func unreadableBody(err error) error {
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		return tooLarge(tooBig.Limit)
	}
	return NewError(http.StatusBadRequest, "IncompleteBody", "The body of the request could not be read to its end")
}

func tooLarge(limit int64) error {
	return NewError(http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException",
		"Request must be smaller than "+itoa(int(limit))+" bytes")
}

// sourceIP is the peer's address. Headers that claim another one do not count.
func sourceIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func stackTrace() string { return string(debug.Stack()) }
