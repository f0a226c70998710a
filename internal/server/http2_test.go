package server

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Frames of HTTP/2 (RFC 9113, section 6).
const (
	h2Data     = 0
	h2Headers  = 1
	h2Reset    = 3
	h2Settings = 4
	h2GoAway   = 7

	h2End     = 1 // END_STREAM
	h2EndHead = 4 // END_HEADERS
)

// h2Client writes frames as they are.
type h2Client struct {
	*testing.T
	*tls.Conn
	mu sync.Mutex
}

func rawHTTP2(t *testing.T, s *Server, settings ...byte) *h2Client {
	t.Helper()
	c, err := tls.Dial("tcp", s.Addr(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	h := &h2Client{T: t, Conn: c}
	_, _ = io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	h.frame(h2Settings, 0, 0, settings)
	return h
}

func (h *h2Client) frame(kind, flags byte, stream uint32, payload []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind)), flags)
	_, _ = h.Conn.Write(append(binary.BigEndian.AppendUint32(b, stream), payload...)) // the server may have gone
}

// post begins a request, with its fields in pairs, each a literal (RFC 7541, section 6.2.2).
func (h *h2Client) post(stream uint32, flags byte, path string, fields ...string) {
	h.head(stream, flags, append([]string{":method", "POST", ":scheme", "https", ":authority", uploadHost, ":path", "/api" + path}, fields...)...)
}

func (h *h2Client) head(stream uint32, flags byte, fields ...string) {
	var b bytes.Buffer
	for i := 0; i < len(fields); i += 2 {
		b.Write([]byte{0, byte(len(fields[i]))})
		b.WriteString(fields[i])
		b.WriteByte(byte(len(fields[i+1])))
		b.WriteString(fields[i+1])
	}
	h.frame(h2Headers, h2EndHead|flags, stream, b.Bytes())
}

// data sends n bytes in frames.
func (h *h2Client) data(stream uint32, n int, flags byte) {
	for n > 0 {
		m := min(n, 16<<10)
		if n -= m; n > 0 {
			h.frame(h2Data, 0, stream, make([]byte, m))
		} else {
			h.frame(h2Data, flags, stream, make([]byte, m))
		}
	}
}

// next reads frames up to one of some kinds.
func (h *h2Client) next(kinds ...byte) (kind byte, payload []byte, err error) {
	for {
		var head [9]byte
		if _, err := io.ReadFull(h.Conn, head[:]); err != nil {
			return 0, nil, err
		}
		payload := make([]byte, binary.BigEndian.Uint32(head[:])>>8)
		if _, err := io.ReadFull(h.Conn, payload); err != nil {
			return 0, nil, err
		}
		if slices.Contains(kinds, head[3]) {
			return head[3], payload, nil
		}
	}
}

// A body over HTTP/2 whose length is a lie, or that is taken back, is nobody's whole body.
func TestHTTP2_Lies(t *testing.T) {
	t.Parallel()
	whole, begun := make(chan error, 1), make(chan struct{}, 1)
	s := uploading(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 1000)
		begun <- struct{}{}
		_, err := io.Copy(io.Discard, r.Body)
		whole <- err
	})
	const size = 100 << 10
	for name, tt := range map[string]struct {
		length string
		end    func(*h2Client)
		whole  bool
	}{
		"as long as it says":            {fmt.Sprint(size), func(h *h2Client) { h.frame(h2Data, h2End, 1, nil) }, true},
		"of no length":                  {"", func(h *h2Client) { h.frame(h2Data, h2End, 1, nil) }, true},
		"longer than it says":           {fmt.Sprint(size), func(h *h2Client) { h.frame(h2Data, h2End, 1, []byte("x")) }, false},
		"shorter than it says":          {fmt.Sprint(size + 1), func(h *h2Client) { h.frame(h2Data, h2End, 1, nil) }, false},
		"taken back":                    {fmt.Sprint(size + 1), func(h *h2Client) { h.frame(h2Reset, 0, 1, []byte{0, 0, 0, 8}) }, false},
		"all there and then taken back": {fmt.Sprint(size), func(h *h2Client) { h.frame(h2Reset, 0, 1, []byte{0, 0, 0, 8}) }, false},
		"of no length and taken back":   {"", func(h *h2Client) { h.frame(h2Reset, 0, 1, []byte{0, 0, 0, 8}) }, false},
		"left with the connection":      {"", func(h *h2Client) { h.Close() }, false},
	} {
		h := rawHTTP2(t, s)
		if tt.length != "" {
			h.post(1, 0, "/x", "content-length", tt.length)
		} else {
			h.post(1, 0, "/x")
		}
		h.data(1, size, 0)
		<-begun
		tt.end(h)
		if err := <-whole; (err == nil) != tt.whole {
			t.Errorf("a body %s: whole %v, %v", name, err == nil, err)
		}
		h.Close()
	}
}

// What stands in a request of HTTP/2 and not in one of HTTP/1.1 is refused.
func TestHTTP2_Heads(t *testing.T) {
	t.Parallel()
	s := uploading(t, func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s %v came through", r.Method, r.RequestURI, r.Header)
	})
	usual := []string{":method", "GET", ":scheme", "https", ":authority", uploadHost, ":path", "/api/x"}
	with := func(at int, value string, more ...string) []string {
		out := append(append([]string{}, usual...), more...)
		out[at] = value
		return out
	}
	for name, fields := range map[string][]string{
		"a coding": with(0, ":method", "transfer-encoding", "chunked"), "a connection": with(0, ":method", "connection", "close"), "an upgrade": with(0, ":method", "upgrade", "h2c"),
		"a line end in a value": with(0, ":method", "x", "a\r\nb: c"), "a line end in a name": with(0, ":method", "x\r\ny", "a"), "an upper-case name": with(0, ":method", "X", "a"), "NUL": with(0, ":method", "x", "\x00"),
		"a line end in the path": with(7, "/api/x HTTP/1.1\r\nx: y"), "a blank in the path": with(7, "/api/x y"), "a fragment": with(7, "/api/x#y"), "no slash": with(7, "api/x"), "8 bits": with(7, "/api/\xe9"), "an empty path": with(7, ""),
		"a line end in the host": with(5, uploadHost+"\r\nx: y"), "a user in the host": with(5, "a@"+uploadHost), "another host": with(0, ":method", "host", "localhost"), "a blank in the method": with(1, "GET /x"), "two lengths": with(0, ":method", "content-length", "0", "content-length", "0"),
		"a length and no body": with(0, ":method", "content-length", "1"), "a signed length": with(0, ":method", "content-length", "+0"), "CONNECT": with(1, "CONNECT"), "many fields": with(0, ":method", strings.Split(strings.Repeat("a,b,", maxFields)+"a,b", ",")...),
	} {
		h := rawHTTP2(t, s)
		h.head(1, h2End, fields...)
		kind, payload, err := h.next(h2Headers, h2Reset, h2GoAway)
		if err == nil && kind == h2Headers && len(payload) > 0 && payload[0] == 0x88 { // :status 200
			t.Errorf("%s: answered 200", name)
		}
		h.Close()
	}
}

// Who opens streams and takes them back as fast as he can makes no more requests than others, and
// who takes no answer is left.
func TestHTTP2_Greed(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	s := uploading(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		<-r.Context().Done()
	})
	h := rawHTTP2(t, s)
	for i := range uint32(2000) {
		h.post(2*i+1, h2End, "/x")
		h.frame(h2Reset, 0, 2*i+1, []byte{0, 0, 0, 8})
	}
	for err := error(nil); err == nil; { // it is told to calm down, or finds an end
		h.post(4001, h2End, "/x")
		_ = h.SetDeadline(time.Now().Add(2 * time.Second))
		_, _, err = h.next(99)
	}
	if n := asked.Load(); n > 1000 {
		t.Errorf("the backend was asked %d times", n)
	}
	h.Close()
	for end := time.Now().Add(10 * time.Second); s.atDoor.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d requests go on", s.atDoor.Load())
		}
	}
}
