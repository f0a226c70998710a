package http1

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
)

// Whatever stands before and behind it, a byte is taken for what it is.
func TestChars(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		control := c < ' ' && c != '\t' || c == 0x7f
		for _, n := range []int{0, 1, 7, 8, 9, 31, 32, 33, 64, 70} {
			for _, fill := range []byte{'a', 0x80, 0xff, '\t', ' ', 0x7e} {
				b := bytes.Repeat([]byte{fill}, n+1+n)
				b[n] = byte(c)
				if validValue(b) == control {
					t.Fatalf("byte %#x behind %d of %#x", c, n, fill)
				}
			}
		}
		alnum := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
		if got := IsPathChar(byte(c)); got != (alnum || c < 0x80 && strings.IndexByte("/-._~!$&'()*+,;=:@[]", byte(c)) >= 0) {
			t.Errorf("in a path: %#x: %v", c, got)
		}
		if got := IsToken("a" + string([]byte{byte(c)})); got != (c > ' ' && c < 0x7f && strings.IndexByte(`"(),/:;<=>?@[\]{}`, byte(c)) < 0) {
			t.Errorf("in a token: %#x: %v", c, got)
		}
	}
}

// What came along with the head is given in one piece, if it is all.
func TestReply_Whole(t *testing.T) {
	t.Parallel()
	u, _, p := play(t, func(_ int, c *net.TCPConn, r *bufio.Reader) {
		for _, answer := range []string{
			fine, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n",
			"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("x", 20000), fine,
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok, and more",
		} {
			if _, _, ok := readReq(r); !ok {
				return
			}
			_, _ = io.WriteString(c, answer)
		}
	})
	for i, want := range []string{"ok", "", "", "", "ok", "ok"} {
		r, err := p.Do(&Call{Method: "GET", Target: "/", Host: "a"})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(r.Whole()); got != want || r.Whole() != nil {
			t.Errorf("answer %d: %q", i, got)
		}
		if b, err := io.ReadAll(r); err != nil || want != "" && len(b) != 0 || i == 1 && string(b) != "ok" || i == 3 && len(b) != 20000 {
			t.Errorf("answer %d: %d bytes, %v", i, len(b), err)
		}
		r.Close()
		if r.Whole() != nil {
			t.Errorf("answer %d: after its end", i)
		}
	}
	if n := u.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	if p.open != 0 {
		t.Error("a connection with more than its answer was kept")
	}
}
