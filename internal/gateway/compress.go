package gateway

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
)

// compressors are reused: a compressor takes a few hundred kilobytes.
type compressors struct{ gzip, deflate sync.Pool }

type compressor interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

func (c *compressors) get(coding string, w io.Writer) compressor {
	pool := &c.gzip
	if coding == "deflate" {
		pool = &c.deflate
	}
	if z, ok := pool.Get().(compressor); ok {
		z.Reset(w)
		return z
	}
	if coding == "deflate" {
		return zlib.NewWriter(w)
	}
	return gzip.NewWriter(w)
}

func (c *compressors) put(coding string, z compressor) {
	z.Reset(io.Discard)
	if coding == "deflate" {
		c.deflate.Put(z)
		return
	}
	c.gzip.Put(z)
}

// coding is how an answer of this length goes to the client, "" for as it is: by the
// API's minimum and what the client takes (API Gateway Developer Guide, "Payload
// compression for REST APIs"). length is -1 when it is not known.
func (x *Exchange) coding(fields []Field, length int64) string {
	least := x.snap.def.MinimumCompression
	if least == nil || length >= 0 && length < int64(*least) || length == 0 || x.Method == "HEAD" || bodyless(x.reply.status) {
		return ""
	}
	for _, f := range fields {
		if strings.EqualFold(f.Name, "Content-Encoding") || strings.EqualFold(f.Name, "Content-Range") ||
			strings.EqualFold(f.Name, "Cache-Control") && strings.Contains(strings.ToLower(f.Value), "no-transform") {
			return ""
		}
	}
	return accepted(x.get("Accept-Encoding"))
}

// accepted picks gzip or deflate from an Accept-Encoding field (RFC 9110, section 12.5.3).
func accepted(field string) string {
	best, weight := "", 0.0
	for item := range strings.SplitSeq(field, ",") {
		name, params, _ := strings.Cut(item, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		q := 1.0
		if text, ok := strings.CutPrefix(strings.ToLower(strings.ReplaceAll(params, " ", "")), "q="); ok {
			if n, err := strconv.ParseFloat(text, 64); err == nil {
				q = n
			}
		}
		if name == "*" || name == "x-gzip" {
			name = "gzip"
		}
		if (name == "gzip" || name == "deflate") && (q > weight || q == weight && name == "gzip" && q > 0) {
			best, weight = name, q
		}
	}
	return best
}

// compressed gives a whole body in a coding.
func (g *Gateway) compressed(coding string, body []byte) []byte {
	var b bytes.Buffer
	z := g.compressors.get(coding, &b)
	defer g.compressors.put(coding, z)
	if _, err := z.Write(body); err != nil { // a buffer takes everything
		return nil
	}
	if err := z.Close(); err != nil {
		return nil
	}
	return b.Bytes()
}

// inflate replaces a compressed body of the request by what it holds, where the API has
// compression switched on. What it holds is bounded as every body is.
func (x *Exchange) inflate() error {
	if x.snap.def.MinimumCompression == nil {
		return nil
	}
	value, n := x.one("Content-Encoding")
	coding := strings.ToLower(strings.TrimSpace(value))
	if n == 0 || coding == "" || coding == "identity" {
		return nil
	}
	if n > 1 || coding != "gzip" && coding != "x-gzip" && coding != "deflate" {
		return refuse(UnsupportedMediaType, "the body has the content coding "+value)
	}
	body, err := x.payload()
	if err != nil {
		return err
	}
	if len(body) > 0 {
		if x.body, err = x.inflated(coding, body); err != nil {
			return err
		}
	}
	x.decoded = true
	return nil
}

func (x *Exchange) inflated(coding string, body []byte) ([]byte, error) {
	var from io.Reader
	var err error
	if coding == "deflate" {
		if from, err = zlib.NewReader(bytes.NewReader(body)); errors.Is(err, zlib.ErrHeader) {
			from, err = flate.NewReader(bytes.NewReader(body)), nil // some send it bare
		}
	} else {
		from, err = gzip.NewReader(bytes.NewReader(body))
	}
	if err == nil {
		body, err = x.gather(from, -1)
	}
	switch {
	case err == errNoRoom:
		return nil, unread(err)
	case err != nil:
		return nil, refuse(Default4XX, "the body is not what its content coding says: "+err.Error())
	case len(body) > maxBody:
		return nil, refuse(RequestTooLarge, "the body is larger than 10 MB once it is decoded")
	}
	return body, nil
}

// sent writes to the client and counts.
type sent struct{ *Exchange }

func (s sent) Write(p []byte) (int, error) {
	n, err := s.Out.Write(p)
	s.written += int64(n)
	return n, err
}

// sink takes a streamed answer on its way to the client, compressed or not.
type sink struct {
	x      *Exchange
	coding string
	z      compressor
}

func (x *Exchange) sink(coding string) sink {
	s := sink{x: x, coding: coding}
	if coding != "" {
		s.z = x.g.compressors.get(coding, sent{x})
	}
	return s
}

func (s *sink) Write(p []byte) (int, error) {
	if s.z != nil {
		return s.z.Write(p)
	}
	return sent{s.x}.Write(p)
}

func (s *sink) flush() {
	if s.z != nil {
		_ = s.z.Flush()
	}
	s.x.Out.Flush()
}

// end finishes a whole answer.
func (s *sink) end() error {
	if s.z == nil {
		return nil
	}
	return s.z.Close()
}

func (s *sink) release() {
	if s.z != nil {
		s.x.g.compressors.put(s.coding, s.z)
	}
}
