package server

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// exchange sends bytes as they are and returns all that comes back until the server closes.
func exchange(t *testing.T, s *Server, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", s.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("the connection was not closed: %v after %q", err, b)
	}
	return string(b)
}

// Where two readers could disagree on where a request ends, nothing behind it is answered.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	const host = "Host: localhost\r\n"
	const next = "GET /_moat/health HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n"
	for name, text := range map[string]string{
		"length and chunks":        "POST /x HTTP/1.1\r\n" + host + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunks and length":        "POST /x HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nContent-Length: 99\r\n\r\n0\r\n\r\n",
		"two lengths":              "POST /x HTTP/1.1\r\n" + host + "Content-Length: 0\r\nContent-Length: 1\r\n\r\n",
		"a signed length":          "POST /x HTTP/1.1\r\n" + host + "Content-Length: +0\r\n\r\n",
		"two transfer codings":     "POST /x HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
		"an unknown coding":        "POST /x HTTP/1.1\r\n" + host + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"a space before the colon": "POST /x HTTP/1.1\r\n" + host + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		"a broken chunk":           "POST /x HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
		"two hosts":                "GET /x HTTP/1.1\r\n" + host + "Host: evil.example\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := exchange(t, s, text+next); strings.Count(got, "HTTP/1.1 ") != 1 || strings.Contains(got, `"status":"ok"`) {
				t.Errorf("got %q", got)
			}
		})
	}
	if got := exchange(t, s, "GET /_moat/health HTTP/1.1\r\n"+host+"\r\n"+next); strings.Count(got, `"status":"ok"`) != 2 {
		t.Errorf("two plain requests: got %q", got)
	}
}
